package splunk

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// report is the event of a ledger.
func report() []byte { return []byte(`{"received_packets":1}`) }

// TestSpoolFull says that frames are refused from half of the spool on, flows
// from 15/16 on, and the ledger when it is full, and that all goes on when there
// is room.
func TestSpoolFull(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Size, c.Ledger, c.Report, c.Frames = 4<<20, true, report, FrameConfig{Mode: FramesAll}
		server.Always(busy)
		s := open(t, c)
		bytes := func() (n int64) {
			for _, l := range s.Stats().Lanes {
				n += l.Spool.Bytes
			}
			return n
		}
		const slack = 1 << 10 // an event that did not fit, or heads of segments
		var dropped uint64
		fill := func(what string, most int64, offer func()) {
			t.Helper()
			before := s.Ledger().Dropped[packet.DropSpoolFull]
			offer()
			after(2 * time.Second)
			dropped = s.Ledger().Dropped[packet.DropSpoolFull]
			if n := bytes(); n > most+slack || n < most-slack || dropped == before {
				t.Errorf("%s fill %d bytes, want %d; dropped %d and %d before", what, n, most, dropped, before)
			}
		}
		fill("frames", c.Size/2, func() { offer(s, 10_000) })
		fill("flows", c.Size/16*15, func() { give(s, 0, 10_000) })
		fill("frames and flows", c.Size/16*15, func() { offer(s, 10); give(s, 10_000, 10_010) })
		after(3 * time.Minute)
		if l := laneNamed(t, s, "ledger"); l.Spool.Pending < 3 || s.Ledger().Dropped[packet.DropSpoolFull] != dropped {
			t.Errorf("%d ledger events wait, want one a minute", l.Spool.Pending)
		}
		server.Always(hectest.Answer{})
		after(5 * time.Minute)
		offer(s, 10)
		give(s, 20_000, 20_010)
		after(time.Second)
		l := finish(t, s)
		if l.Dropped[packet.DropSpoolFull] != dropped || l.Stored+dropped != l.Offered {
			t.Errorf("account %+v, want %d dropped and the rest stored", l, dropped)
		}
		wantOnce(t, numbers(t, server), 20_000, 20_010)
	})
}

// TestScarceDisk says that where the file system is the limit frames are refused
// before flows, and the ledger last.
func TestScarceDisk(t *testing.T) {
	for name, test := range map[string]struct {
		free                  float64 // is to stay, where half is free
		frames, flows, ledger int
	}{
		"enough":     {0.42, 10, 10, 1},
		"scarce":     {0.48, 0, 10, 1},
		"too little": {0.52, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			const size = 64 << 20
			disk := lab.Disk(t, size)
			if err := os.WriteFile(filepath.Join(disk, "ballast"), make([]byte, size/2), 0o600); err != nil {
				t.Fatal(err)
			}
			bubble(t, func(t *testing.T, server *hectest.Server, c Config) { // the end comes before a minute is over
				c.Dir, c.Free = filepath.Join(disk, "spool"), test.free
				c.Ledger, c.Report, c.Frames = true, report, FrameConfig{Mode: FramesAll}
				s := open(t, c)
				offer(s, 10)
				give(s, 0, 10)
				l := finish(t, s)
				sum := test.frames + test.flows + test.ledger
				if int(l.Stored) != sum || int(l.Dropped[packet.DropDiskFull]) != 21-sum {
					t.Errorf("account %+v, want %d stored", l, sum)
				}
				if n := len(numbers(t, server)); n != test.flows {
					t.Errorf("%d flows arrived, want %d", n, test.flows)
				}
			})
		})
	}
}

// TestFullSpoolIsCountedNowAndThen says that what finds no room does not count the
// spool each time, and that room is seen soon after there is some.
func TestFullSpoolIsCountedNowAndThen(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Size = 4 << 20
		server.Always(busy)
		s := open(t, c)
		give(s, 0, 10_000)
		after(time.Second)
		e := newEncoder(s)
		for _, pause := range []time.Duration{0, time.Millisecond} {
			counts, last := 0, e.counted
			for range 1000 {
				time.Sleep(pause)
				if e.fits(flowKind, 1000) {
					t.Fatal("there is room")
				}
				if e.counted != last {
					counts, last = counts+1, e.counted
				}
			}
			if want := int(1000 * pause / lookAgain); counts != want {
				t.Errorf("1000 events with %v between count the spool %d times, want %d", pause, counts, want)
			}
		}
		server.Always(hectest.Answer{})
		after(5 * time.Minute)
		if !e.fits(flowKind, 1000) {
			t.Error("there is no room")
		}
		finish(t, s)
	})
}

// TestLedgerOfFullSpool says that the ledger is refused too when the spool is
// full to the brim.
func TestLedgerOfFullSpool(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Size, c.Ledger = 4<<20, true
		var size atomic.Int64
		size.Store(100_000)
		c.Report = func() []byte { return []byte(`{"x":"` + strings.Repeat("x", int(size.Load())) + `"}`) }
		server.Always(busy)
		s := open(t, c)
		after(time.Hour)
		l := s.Ledger()
		if l.Pending != 41 || l.Dropped[packet.DropSpoolFull] != l.Offered-41 {
			t.Errorf("account %+v, want 41 events of 100 kB in 4 MiB, the others dropped", l)
		}
		size.Store(10)
		after(time.Minute)
		if got := s.Ledger(); got.Pending != 42 {
			t.Errorf("account %+v, want a small one to be kept", got)
		}
		finish(t, s)
	})
}

// TestReplayWaits says that a replay waits for room in the spool, and loses
// nothing.
func TestReplayWaits(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Size, c.Replay, c.Buffer = 4<<20, true, 1
		server.Always(busy)
		s := open(t, c)
		const flows = 10_000 // 7 MB
		given := make(chan bool)
		go func() {
			defer close(given)
			give(s, 0, flows)
		}()
		after(10 * time.Minute)
		select {
		case <-given:
			t.Error("the worker did not wait")
		default:
		}
		server.Always(hectest.Answer{})
		<-given
		l := finish(t, s)
		wantOnce(t, numbers(t, server), 0, flows)
		if l.Offered != flows || l.Stored != flows {
			t.Errorf("account %+v, want all stored", l)
		}
	})
}

// TestReplaySendsToTheEnd says that at the end of a replay Close waits for a
// server that is not well.
func TestReplaySendsToTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Replay = true
		server.Script(busy, busy, busy, busy, badData, wrongIndex)
		s := open(t, c)
		give(s, 0, 100)
		if l := finish(t, s); l.Stored != 100 {
			t.Errorf("account %+v, want all stored", l)
		}
	})
}

// TestInterrupt says that a replay that is given up waits no longer, and that
// Close then says what it leaves.
func TestInterrupt(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Size, c.Replay, c.Buffer = 4<<20, true, 1
		server.Always(busy)
		s := open(t, c)
		given := make(chan bool)
		go func() {
			defer close(given)
			give(s, 0, 10_000)
		}()
		after(time.Minute)
		s.Interrupt()
		s.Interrupt()
		<-given
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "events could not be sent and stay in "+c.Dir) {
			t.Errorf("error %v, want one that says what is left", err)
		}
		l := s.Ledger()
		if l.Dropped[packet.DropSpoolFull] == 0 || l.Pending == 0 || l.Imbalance() != 0 {
			t.Errorf("account %+v, want the spool full and the rest dropped", l)
		}
	})
}

// TestCloseEndsTheWaitForRoom says that a replay's encoder that waits for room
// does so until Close's time is over.
func TestCloseEndsTheWaitForRoom(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Size, c.Replay = 4<<20, true
		server.Always(busy)
		s := open(t, c)
		give(s, 0, 10_000)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Close(ctx); err == nil {
			t.Error("no error, and not all is sent")
		}
		if l := s.Ledger(); l.Dropped[packet.DropSpoolFull] == 0 || l.Imbalance() != 0 {
			t.Errorf("account %+v, want what found no room to be dropped", l)
		}
	})
}

// TestExpired says that what is too old is dropped and counted, unless it is in
// the hands of a delivery.
func TestExpired(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Age, c.batchEvents = time.Minute, 2
		server.Always(busy)
		s := open(t, c)
		give(s, 0, 100)
		after(10 * time.Minute)
		l := s.Ledger()
		if l.Dropped[packet.DropExpired] < 100-2*places || l.Imbalance() != 0 {
			t.Errorf("account %+v, want 100 expired, but for %d batches at most", l, places)
		}
		server.Always(hectest.Answer{})
		after(5 * time.Minute)
		if last := finish(t, s); last.Stored != l.Pending || last.Dropped != l.Dropped {
			t.Errorf("account %+v, want those to be stored", last)
		}
	})
}
