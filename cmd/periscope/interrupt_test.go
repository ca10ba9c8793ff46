package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
)

// A replay that is interrupted keeps what it read until then, and says that
// this is not all.
func TestReplayInterrupted(t *testing.T) {
	t.Parallel()
	m := newMirror(1000)
	path := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), m.file)
	for _, test := range []struct {
		name string
		args []string
	}{
		{"paced file", []string{"--pace", "0.001x", path}},
		{"standard input that stays open", []string{"-"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out")
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			p := newProcess(t, append([]string{"replay", "--out", out, "--summary", "-"}, test.args...)...)
			p.cmd.Stdin = r
			p.start()
			if _, err := w.Write(m.file[:m.offsets[100]]); err != nil { // less than a pipe holds
				t.Fatal(err)
			}
			p.waitLog(`msg=replaying`, 1)
			p.signal(syscall.SIGINT)
			if code := p.wait(); code != exitFailure {
				t.Errorf("exit status %d", code)
			}
			if got := (result{stderr: p.log.String()}).errorLine(t); got != "interrupted; what was read until then has been replayed" {
				t.Errorf("%q", got)
			}
			l := readLedger(t, p.stdout.Bytes())
			files := readTree(t, out)
			noPartial(t, files)
			if n := records(files); n != int(l.Delivered.Packets) || n >= 500 {
				t.Errorf("%d records: %+v", n, l)
			}
		})
	}
}

// A sender whose input stays open ends with its result.
func TestSendInterrupted(t *testing.T) {
	t.Parallel()
	file, _ := capturedFrames(300, traffic.LinkEthernet)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	go func() { _, _ = w.Write(file) }() // more than a pipe holds
	c := receiver(t)
	p := newProcess(t, "send", "--to", c.LocalAddr().String(), "--rate", "0", "-")
	p.cmd.Stdin = r
	p.start()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1<<16)); err != nil { // it is at work
		t.Fatal(err)
	}
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != exitOK || !strings.HasPrefix(p.stdout.String(), "sent ") || p.log.String() != "" {
		t.Errorf("exit status %d: %s%s", code, &p.stdout, &p.log)
	}
}
