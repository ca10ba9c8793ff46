package main

import (
	"bytes"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// SIGTERM makes the collector unready at once; it reads on for the drain time,
// and what comes in it is kept. The time for the stop begins after that.
func TestStopDrains(t *testing.T) {
	t.Parallel()
	c := collect(t, setup{more: "drain: 12s\nstop_timeout: 10s"})
	l := newLoad(t, c.vxlan, 1, 0)
	l.send(0, 100)
	c.waitReceived(100)
	c.signal(syscall.SIGTERM)
	eventually(t, "unready", func() bool {
		status, body := c.get("/readyz")
		return status == http.StatusServiceUnavailable && body == "stopping\n"
	})
	if status, _ := c.get("/healthz"); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	if got := c.metrics()["periscope_ready"]; got != 0 {
		t.Errorf("periscope_ready is %v", got)
	}
	l.send(0, 100)
	c.waitReceived(200) // which asks admin: the collector is still there
	ledger := c.end()
	if ledger.Received.Packets != 200 {
		t.Errorf("%+v", ledger)
	}
	files := readTree(t, c.out)
	noPartial(t, files)
	once(t, sequences(t, files), 0, 200)
}

// stopUnderLoad ends a collector with SIGTERM while frames arrive: whatever it
// received is in the files.
func stopUnderLoad(t *testing.T, rate float64) {
	c := collect(t, setup{rotate: "size: 1MiB"})
	l := newLoad(t, c.vxlan, 1, 0)
	stop := l.start(rate)
	eventually(t, "load", func() bool { return c.ledger().Received.Packets > 10_000 })
	c.signal(syscall.SIGTERM)
	ledger := c.end()
	ended := l.begun()
	eventually(t, "the load goes on", func() bool { return l.begun() > ended+1000 })
	stop()
	if n := ledger.Received.Packets; n != ledger.Delivered.Packets || n != ledger.Sinks["pcap"].Stored {
		t.Errorf("%+v", ledger)
	}
	files := readTree(t, c.out)
	noPartial(t, files)
	seen := sequences(t, files)
	once(t, seen, 0, 10_000)
	if len(seen) != int(ledger.Received.Packets) {
		t.Errorf("%d frames in the files, %d received", len(seen), ledger.Received.Packets)
	}
	if made := l.count(); len(seen) >= made {
		t.Errorf("all %d frames arrived: the stop came after the load", made)
	}
}

func TestStopUnderLoad(t *testing.T) { stopUnderLoad(t, 20_000) }

// A second signal ends the collector at once. What was flushed by then can be
// read, and the next start finishes the files.
func TestStopTwice(t *testing.T) {
	t.Parallel()
	for _, signals := range [][2]syscall.Signal{
		{syscall.SIGTERM, syscall.SIGTERM},
		{syscall.SIGTERM, syscall.SIGINT},
	} {
		t.Run(signals[0].String()+", "+signals[1].String(), func(t *testing.T) {
			t.Parallel()
			s := setup{more: "drain: 1h"}
			c := collect(t, s)
			newLoad(t, c.vxlan, 1, 0).send(0, 500)
			c.waitReceived(500)
			c.signal(signals[0])
			c.waitLog(`msg=stopping signal=SIGTERM drain=1h`, 1)
			c.signal(signals[1])
			if code := c.wait(); code != exitFailure {
				t.Errorf("exit status %d", code)
			}
			text := result{stderr: c.log.String()}.errorLine(t)
			if !strings.HasSuffix(text, " again: exiting at once; capture files not completed keep the suffix .partial") {
				t.Errorf("%q", text)
			}
			files := readTree(t, c.out)
			if len(files) != 1 || !files[0].partial {
				t.Errorf("%+v", files)
			}
			once(t, sequences(t, files), 0, 500)

			next := collect(t, setup{dir: c.dir})
			next.waitLog(`finished capture files of an earlier process.* finished=1 salvaged=0`, 1)
			files = readTree(t, c.out)
			noPartial(t, files)
			once(t, sequences(t, files), 0, 500)
			next.stop()
		})
	}
}

// After SIGINT it is to be over in 5 s.
func TestInterruptTimeout(t *testing.T) {
	if interruptTimeout >= 5*time.Second {
		t.Error(interruptTimeout)
	}
}

// Without any traffic there is an account, and no file.
func TestStopIdle(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		c := collect(t, setup{})
		c.signal(s)
		ledger := c.end()
		if ledger.Received.Packets != 0 {
			t.Errorf("%s: %+v", s, ledger)
		}
		if files := readTree(t, c.out); len(files) != 0 {
			t.Errorf("%s: %d files", s, len(files))
		}
		if want := []byte("the ledger balances\n"); !bytes.HasSuffix(c.stdout.Bytes(), want) {
			t.Errorf("%s: %s", s, &c.stdout)
		}
	}
}

// `run --summary -` prints the ledger as JSON and nothing else.
func TestRunSummaryOnStandardOutput(t *testing.T) {
	c := collect(t, setup{args: []string{"--summary", "-"}})
	newLoad(t, c.vxlan, 5, 0).send(0, 10)
	c.waitReceived(10)
	c.signal(syscall.SIGINT)
	if code := c.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if l := readLedger(t, c.stdout.Bytes()); l.Received.Packets != 10 || l.Sessions[0].Name != "vni-5" {
		t.Errorf("%+v", l)
	}
}
