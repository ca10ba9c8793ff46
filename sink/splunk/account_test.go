package splunk

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// A gate stops the encoder where it asks for the ledger.
type gate struct {
	reached chan struct{} // the encoder waits, and has nothing else to do
	pass    chan struct{}
	open    chan struct{} // closed when it need not wait any more
}

// newGate puts a gate into c.
func newGate(c *Config) *gate {
	g := &gate{make(chan struct{}), make(chan struct{}), make(chan struct{})}
	c.Ledger, c.reportEvery = true, time.Millisecond
	c.Report = func() []byte {
		select {
		case g.reached <- struct{}{}:
			<-g.pass
		case <-g.open:
		}
		return nil
	}
	return g
}

// leave lets the encoder go on for good.
func (g *gate) leave() {
	close(g.open)
	close(g.pass)
}

// TestQueueFull says that live a worker that finds no room goes on, and that the
// record or frame is counted.
func TestQueueFull(t *testing.T) {
	server := hectest.New(t, token)
	c := newConfig(t, server.URL)
	c.VPCFlow, c.Frames, c.Buffer = true, FrameConfig{Mode: FramesAll}, 1
	g := newGate(&c)
	s := open(t, c)
	<-g.reached
	const room = 512 // of a queue at least
	give(s, 0, room+100)
	offer(s, room+10)
	l := s.Ledger()
	if l.Dropped[packet.DropQueueFull] != 3*100+10 || l.Pending != 3*room+room || l.Imbalance() != 0 {
		t.Errorf("account %+v, want 300 events of flows and 10 of frames dropped", l)
	}
	g.leave()
	l = finish(t, s)
	if l.Stored != 4*room || l.Dropped[packet.DropQueueFull] != 310 {
		t.Errorf("account %+v, want the others stored", l)
	}
	wantOnce(t, numbers(t, server), 0, room)
}

// TestWorkersDoNotAllocate holds what a record and a frame cost a worker.
func TestWorkersDoNotAllocate(t *testing.T) {
	c := newConfig(t, hectest.New(t, token).URL)
	c.VPCFlow, c.Frames, c.Buffer = true, FrameConfig{Mode: FramesAll, Payload: 16}, 1
	c.linger = time.Hour
	g := newGate(&c)
	s := open(t, c)
	const room = 512
	<-g.reached
	give(s, 0, room) // makes the chunks
	offer(s, room)
	g.pass <- struct{}{}
	<-g.reached // all of it has left the queues
	r, f := flow(1), frame(1)
	if n := testing.AllocsPerRun(room-1, func() { s.Flow(0, r) }); n != 0 {
		t.Errorf("Flow allocates %v times", n)
	}
	if n := testing.AllocsPerRun(room-1, func() { s.Frames().Offer(0, f) }); n != 0 {
		t.Errorf("Offer allocates %v times", n)
	}
	if l := s.Ledger(); l.Dropped[packet.DropQueueFull] != 0 {
		t.Errorf("account %+v, want room for all", l)
	}
	g.leave()
	finish(t, s)
}

// TestEventsDoNotAllocate holds what an event costs the encoder and the spool.
func TestEventsDoNotAllocate(t *testing.T) {
	c := newConfig(t, hectest.New(t, token).URL)
	c.VPCFlow, c.linger = true, time.Hour
	s := open(t, c)
	e := newEncoder(s) // the sink's own has nothing to do
	r := flow(1)
	if n := testing.AllocsPerRun(500, func() { e.flow(r) }); n != 0 {
		t.Errorf("a flow and its lines allocate %v times", n)
	}
	s.workers[0].offered.Add(3 * 501)
	finish(t, s)
}

// TestAccountBalances says that nothing is lost and nothing counted twice while
// several workers offer, the server fails in every way that keeps or doubles
// events, and the sink is closed and opened again; and that the account of any
// moment says so.
func TestAccountBalances(t *testing.T) {
	server := hectest.New(t, token)
	const workers, flows, frames = 4, 1500, 500 // each
	c := newConfig(t, server.URL)
	c.Workers, c.VPCFlow, c.batchEvents = workers, true, 200
	c.Ledger, c.Report, c.reportEvery = true, report, 10*time.Millisecond
	c.Frames = FrameConfig{Mode: FramesAll}
	faults := []hectest.Answer{{Fault: hectest.Drop}, {}, {}, {Fault: hectest.Reset}, {}, {}, {Fault: hectest.Cut}, {}, {}}
	server.Script(faults...)
	s := open(t, c)

	stop := make(chan struct{})
	var looking, working sync.WaitGroup
	for range 2 {
		looking.Go(func() {
			for {
				l := s.Ledger()
				if l.Imbalance() != 0 || l.Pending > l.Offered || l.Stored > l.Offered {
					t.Errorf("account %+v", l)
				}
				s.Stats()
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
			}
		})
	}
	for w := range workers {
		working.Go(func() {
			for n := range flows {
				s.Flow(w, flow(w*flows+n+1))
				if n%(flows/frames) == 0 {
					s.Frames().Offer(w, frame(n))
				}
				if n%100 == 99 {
					s.Mark(w, 0, time.Now().UnixNano())
					s.Frames().Mark(w, 0, time.Now().UnixNano())
				}
			}
		})
	}
	working.Wait()
	first := finish(t, s)
	close(stop)
	looking.Wait()
	made := uint64(workers * (3*flows + frames))
	if first.Offered <= made || first.Dropped != [packet.NumDrops]uint64{} {
		t.Errorf("account %+v, want %d events and those of the ledger", first, made)
	}

	// What is left goes now; nothing is offered but another ledger event or more.
	c.Replay = true // until all is sent
	s = open(t, c)
	second := finish(t, s)
	if second.Pending != 0 || second.Offered < first.Pending || second.Offered != second.Stored {
		t.Errorf("account %+v after %+v, want what was pending stored", second, first)
	}
	times := numbers(t, server)
	if len(times) != workers*flows {
		t.Errorf("%d flows came, want %d", len(times), workers*flows)
	}
	var stored uint64
	for _, l := range s.Stats().Lanes {
		stored += l.Stored
	}
	if stored != second.Stored {
		t.Errorf("lanes stored %d, the account says %d", stored, second.Stored)
	}
}

// TestLedgerEvents says that the ledger is sent in time with the minute and at
// the end, and that a report there is not is none.
func TestLedgerEvents(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		n := 0
		c.Flow, c.Ledger = false, true
		c.Report = func() []byte {
			if n++; n == 2 {
				return nil
			}
			return report()
		}
		after(17 * time.Second)
		s := open(t, c)
		after(3 * time.Minute)
		if got := len(server.Events()); got != 2 {
			t.Errorf("%d events in three minutes of which one had no report, want 2", got)
		}
		l := finish(t, s)
		if l.Offered != 3 || l.Stored != 3 {
			t.Errorf("account %+v, want another at the end", l)
		}
		for _, a := range arrivals(t, server) {
			if a.Sourcetype != "periscope:ledger" {
				t.Errorf("there is a %s", a.Sourcetype)
			}
		}
	})
}

// TestOpenThatFails says that what fails leaves nothing behind, and names it.
func TestOpenThatFails(t *testing.T) {
	server := hectest.New(t, token)
	c := newConfig(t, server.URL)
	s := open(t, c)
	if _, err := Open(c); err == nil {
		t.Error("two sinks have a directory")
	}
	finish(t, s)
	for name, spoil := range map[string]func(*Config){
		"no directory":    func(c *Config) { c.Dir = "" },
		"no endpoint":     func(c *Config) { c.HEC.Endpoints = nil },
		"spool too small": func(c *Config) { c.Size = 4<<20 - 1 },
		"no token, and it is a replay": func(c *Config) {
			c.Replay, c.HEC.TokenFile = true, filepath.Join(t.TempDir(), "none")
		},
	} {
		bad := c
		spoil(&bad)
		if _, err := Open(bad); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	finish(t, open(t, c)) // nothing is locked
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
