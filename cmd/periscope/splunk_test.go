package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// replaySplunk starts a replay of a capture to a server, with its files in a
// directory. It writes no token anywhere.
func replaySplunk(t *testing.T, dir, url, capture string) *process {
	t.Helper()
	writeToken(t, dir, splunkToken)
	config := writeFile(t, filepath.Join(dir, "periscope.yaml"), fmt.Appendf(nil, "sinks: {%s}\n", splunkSink(url, "flow", "64MiB")))
	p := newProcess(t, "replay", "--config", config, "--summary", "-", capture).start()
	t.Cleanup(func() { keepsSecret(t, dir, p) })
	return p
}

// Every packet of a capture is in the event of a flow.
func TestReplaySplunk(t *testing.T) {
	t.Parallel()
	m := newMirror(20_000)
	path := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), m.file)
	server := hectest.New(t, splunkToken)
	p := replaySplunk(t, t.TempDir(), server.URL, path)
	if code := p.wait(); code != exitOK {
		t.Fatalf("exit status %d", code)
	}
	led := readLedger(t, p.stdout.Bytes())
	events, packets := readEvents(t, server)
	if packets != led.Flows.Packets || packets != uint64(m.frames) {
		t.Errorf("%d packets in events, %d in flows, %d frames", packets, led.Flows.Packets, m.frames)
	}
	if sink := led.Sinks["splunk"]; sink.Stored != events["periscope:flow"] || sink.Offered != sink.Stored {
		t.Errorf("%v: %+v", events, sink)
	}
}

// A replay whose events nobody takes waits; interrupted it says how many stay,
// and what uses the spool next sends them.
func TestReplaySplunkInterrupted(t *testing.T) {
	t.Parallel()
	m := newMirror(2000)
	path := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), m.file)
	empty := writeFile(t, filepath.Join(t.TempDir(), "empty.pcap"), m.file[:m.offsets[0]])
	x := newIndexer(t, splunkToken, 0)
	x.down()
	dir := t.TempDir()
	p := replaySplunk(t, dir, x.url(), path)
	p.waitLog(`msg="events are being sent to Splunk; interrupt to leave them in the spool" left=`, 1)
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != exitFailure {
		t.Errorf("exit status %d", code)
	}
	led := readLedger(t, p.stdout.Bytes())
	sink := led.Sinks["splunk"]
	want := fmt.Sprintf("splunk: %d events could not be sent and stay in ", sink.Pending)
	if !regexp.MustCompile(want).MatchString(p.log.String()) || sink.Pending == 0 || sink.Pending != sink.Offered {
		t.Errorf("want %q: %+v in %s", want, sink, p.log.String())
	}

	x.up()
	p = replaySplunk(t, dir, x.url(), empty)
	if code := p.wait(); code != exitOK {
		t.Fatalf("exit status %d", code)
	}
	led = readLedger(t, p.stdout.Bytes())
	if n := x.count(); led.Sinks["splunk"].Stored != sink.Pending || n.Distinct != sink.Pending || n.duplicates() != 0 {
		t.Errorf("%d events were left, %+v: %+v", sink.Pending, n, led.Sinks["splunk"])
	}
}
