package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// A full disk of the spool costs events, counted, and nothing else; when the
// indexer is there again room is made, and events are kept again.
func TestSplunkDiskFull(t *testing.T) {
	dir := t.TempDir()
	spool := filepath.Join(dir, "spool")
	if err := os.Mkdir(spool, 0o700); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, spool, "8m")
	x := newIndexer(t, splunkToken, 0)
	x.down()
	c := collectSplunk(t, setup{dir: dir, sinks: splunkSink(x.url(), "flow", "64MiB"), more: smallTable})
	load := &crowd{t: t, to: c.vxlan}
	stop := load.start(5000)
	eventually(t, "the disk is full", func() bool { return c.splunk().Dropped["disk_full"] > 1000 })
	full := c.splunk()
	x.up()
	eventually(t, "events are kept again", func() bool { return c.splunk().Stored > full.Stored+full.Pending+1000 })
	stop()
	c.waitReceived(int(load.sent))
	led := c.stop()
	sink, n := led.Sinks["splunk"], x.count()
	if n.Distinct != sink.Stored || n.duplicates() != 0 || sink.Pending != 0 {
		t.Errorf("%+v: %+v", n, sink)
	}
	if n.Flows+sink.Dropped["disk_full"] != load.sent || len(sink.Dropped) != 1 {
		t.Errorf("%d sent, %+v: %+v", load.sent, n, sink)
	}
	if pcap := led.Sinks["pcap"]; pcap.Stored != load.sent {
		t.Errorf("%d sent: %+v", load.sent, pcap)
	}
}

// While the token is refused everything is kept, and when the file has another
// one it is sent.
func TestSplunkTokenReplaced(t *testing.T) {
	t.Parallel()
	x := newIndexer(t, anotherToken, 0)
	c := collectSplunk(t, setup{sinks: splunkSink(x.url(), "flow", "64MiB"), more: smallTable})
	load := &crowd{t: t, to: c.vxlan}
	stop := load.start(2000)
	c.waitLog(`level=WARN msg="splunk endpoint refuses every token`, 1)
	eventually(t, "events are kept", func() bool { return c.splunk().Pending > 2000 })
	c.metricsKeepSecret()
	if n := x.count(); n.Events != 0 {
		t.Errorf("without its token: %+v", n)
	}
	writeToken(t, c.dir, anotherToken)
	eventually(t, "events are sent", func() bool { return c.splunk().Stored > 2000 })
	stop()
	c.allArrived(x, load, 0)
}

// allArrived ends a collector that has received a whole load: every flow of it is
// in one event, and no more than so many came twice.
func (c *collector) allArrived(x *indexer, load *crowd, twice uint64) {
	c.t.Helper()
	c.waitReceived(int(load.sent))
	led := c.stop()
	sink, n := led.Sinks["splunk"], x.count()
	if sink.Stored != n.Distinct || sink.Pending != 0 || len(sink.Dropped) != 0 {
		c.t.Errorf("%+v: %+v", n, sink)
	}
	if n.Flows != load.sent || n.Distinct != load.sent || n.duplicates() > twice {
		c.t.Errorf("%d flows, %d may come twice: %+v", load.sent, twice, n)
	}
	if pcap := led.Sinks["pcap"]; pcap.Stored != load.sent || led.Lost.Socket != 0 {
		c.t.Errorf("%d frames: %+v", load.sent, led)
	}
	c.t.Logf("%d frames, %d events, %d came twice", load.sent, n.Distinct, n.duplicates())
}

// An indexer that takes requests and says nothing does not hold up the stop, which
// after SIGINT does not take stop_timeout. What it was sent stays in the spool, and
// the next one gets it.
func TestSplunkSilent(t *testing.T) {
	t.Parallel()
	server := hectest.New(t, splunkToken)
	server.Always(hectest.Answer{Fault: hectest.Hang})
	s := setup{dir: t.TempDir(), sinks: splunkSink(server.URL, "flow", "64MiB"), more: smallTable + "\nstop_timeout: 1h"}
	c := collectSplunk(t, s)
	load := &crowd{t: t, to: c.vxlan}
	stop := load.start(2000)
	eventually(t, "a request is out", func() bool { return len(server.Seen()) > 0 && c.splunk().Pending > 2000 })
	stop()
	c.waitReceived(int(load.sent))
	if sink := c.interrupt().Sinks["splunk"]; sink.Pending != load.sent || len(sink.Dropped) != 0 {
		t.Errorf("%d sent: %+v", load.sent, sink)
	}

	server.Always(hectest.Answer{})
	if sink := collectSplunk(t, s).stop().Sinks["splunk"]; sink.Stored != load.sent {
		t.Errorf("%d sent: %+v", load.sent, sink)
	}
	if events, _ := readEvents(t, server); events["periscope:flow"] != load.sent {
		t.Errorf("%d sent: %v", load.sent, events)
	}
}

// What an indexer that is away does not take waits on the disk, over a restart
// too.
func TestSplunkOutage(t *testing.T) {
	t.Parallel()
	x := newIndexer(t, splunkToken, 0)
	s := setup{dir: t.TempDir(), sinks: splunkSink(x.url(), "flow", "64MiB"), more: smallTable}
	x.down()
	c := collectSplunk(t, s)
	load := &crowd{t: t, to: c.vxlan}
	stop := load.start(2000)
	eventually(t, "events are kept", func() bool { return c.splunk().Pending > 2000 })
	stop()
	c.waitReceived(int(load.sent))
	led := c.interrupt()
	if sink := led.Sinks["splunk"]; sink.Pending != load.sent || sink.Offered != load.sent {
		t.Errorf("%d sent: %+v", load.sent, sink)
	}
	c.waitLog(`level=INFO msg="events stay in the spool; the next start sends them" events=`, 1)

	x.up()
	next := collectSplunk(t, s)
	eventually(t, "everything is sent", func() bool { return next.splunk().Pending == 0 })
	if sink := next.stop().Sinks["splunk"]; sink.Stored != load.sent {
		t.Errorf("%d sent: %+v", load.sent, sink)
	}
	if n := x.count(); n.Flows != load.sent || n.Events != load.sent {
		t.Errorf("%d flows: %+v", load.sent, n)
	}
}
