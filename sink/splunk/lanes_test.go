package splunk

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

var (
	busy       = hectest.Answer{Status: 503, Body: `{"text":"Server is busy","code":9}`}
	wrongIndex = hectest.Answer{Status: 400, Body: `{"text":"Incorrect index","code":7,"invalid-event-number":1}`}
)

// laneNamed returns the state of a lane.
func laneNamed(t testing.TB, s *Sink, name string) LaneStats {
	t.Helper()
	for _, l := range s.Stats().Lanes {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("no lane %s", name)
	panic("unreachable")
}

// TestRefusedIndexHoldsItsLane says that a lane whose index is refused waits by
// itself, nothing of it is put aside, and it goes on when there is the index.
func TestRefusedIndexHoldsItsLane(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.VPCFlow, c.Indexes = true, Indexes{Flow: "net", VPCFlow: "later"}
		c.holdLeast = holdLeast
		server.SetIndexes("net")
		s := open(t, c)
		for round := range 3 {
			give(s, 100*round, 100*(round+1))
			after(time.Second)
			if l := s.Ledger(); l.Stored != uint64(100*(round+1)) || l.Pending != uint64(200*(round+1)) {
				t.Errorf("round %d: account %+v, want every flow stored and every line pending", round, l)
			}
		}
		if l := laneNamed(t, s, "vpcflow@later"); l.Held != "index" {
			t.Errorf("held for %q, want index", l.Held)
		}
		if l := laneNamed(t, s, "flow@net"); l.Held != "" || l.Stored != 300 {
			t.Errorf("lane %+v, want it free", l)
		}
		requests := len(server.Seen())
		after(time.Hour)
		if n := len(server.Seen()) - requests; n < 10 || n > 20 {
			t.Errorf("%d tries in an hour, want one each 5 minutes", n)
		}
		server.SetIndexes("net", "later")
		after(holdMost)
		if l := laneNamed(t, s, "vpcflow@later"); l.Held != "" || l.Stored != 600 {
			t.Errorf("lane %+v, want 600 stored", l)
		}
		finish(t, s)
		wantOnce(t, numbers(t, server), 0, 300)
	})
}

// TestHeldLaneUnderLoad says that a lane that waits costs the other one nothing,
// and that Close does not wait for it.
func TestHeldLaneUnderLoad(t *testing.T) {
	server := hectest.New(t, token)
	server.SetIndexes("net")
	c := newConfig(t, server.URL)
	c.VPCFlow, c.Indexes = true, Indexes{Flow: "net", VPCFlow: "gone"}
	s := open(t, c)
	const flows = 8_000
	give(s, 0, flows)
	l := finish(t, s)
	wantOnce(t, numbers(t, server), 0, flows)
	if l.Stored != flows || l.Pending != 2*flows {
		t.Errorf("account %+v, want %d stored and %d pending", l, flows, 2*flows)
	}
}

// TestBacklogDoesNotLinger says that a lane waits for more only when it has read
// all there is, however small the segments of its spool are.
func TestBacklogDoesNotLinger(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Size = 4 << 20 // segments of 64 KiB
		server.Always(busy)
		s := open(t, c)
		give(s, 0, 4000)
		after(time.Second)
		finish(t, s)
		server.Always(hectest.Answer{})
		c.linger = time.Second
		s = open(t, c)
		after(1500 * time.Millisecond)
		if l := s.Ledger(); l.Pending != 0 {
			t.Errorf("account %+v, want all to be sent after one wait", l)
		}
		finish(t, s)
	})
}

// TestLinger says that events are sent when as much has come as a request has, or
// after a while, or at the end.
func TestLinger(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.linger = time.Minute
		s := open(t, c)
		give(s, 0, 256)
		after(50 * time.Second)
		if n := len(server.Events()); n != 0 {
			t.Errorf("%d events were sent before their time", n)
		}
		after(10 * time.Second)
		if n := len(server.Events()); n != 256 {
			t.Errorf("%d events were sent, want all", n)
		}
		give(s, 256, 256*8) // more than one request has
		after(time.Second)
		if n := len(server.Events()); n < 256*2 {
			t.Errorf("%d events were sent, want a request to be filled", n)
		}
		give(s, 256*8, 256*9)
		start := time.Now()
		finish(t, s)
		if took := time.Since(start); took > time.Second {
			t.Errorf("Close lingered for %v", took)
		}
	})
}

// TestTakenInPart says that when a server takes the first events of a request and
// has no room for the others, those alone are sent again.
func TestTakenInPart(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		server.Script(hectest.Answer{Status: 503, Body: `{"text":"Server is busy","code":9,"invalid-event-number":3}`})
		s := open(t, c)
		give(s, 0, 10)
		after(time.Minute)
		if l := finish(t, s); l.Stored != 10 {
			t.Errorf("account %+v, want all stored", l)
		}
		wantOnce(t, numbers(t, server), 0, 10, 0, 1, 2) // which the script took
	})
}

// TestLaneOfEarlierConfiguration says that what waits for an index that is not
// configured any more is sent there all the same.
func TestLaneOfEarlierConfiguration(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		server.Always(busy)
		c.Indexes.Flow = "before"
		s := open(t, c)
		give(s, 0, 100)
		after(time.Second)
		if l := finish(t, s); l.Pending != 100 {
			t.Fatalf("account %+v, want 100 pending", l)
		}
		server.Always(hectest.Answer{})
		c.Indexes.Flow = "now"
		s = open(t, c)
		give(s, 100, 150)
		after(time.Minute)
		l := finish(t, s)
		wantOnce(t, numbers(t, server), 0, 150)
		if l.Offered != 150 || l.Stored != 150 {
			t.Errorf("account %+v, want 150 offered and stored", l)
		}
		for _, a := range arrivals(t, server) {
			if want := map[bool]string{true: "before", false: "now"}[a.flow.Bytes < 100]; a.Index != want {
				t.Fatalf("flow %d has index %q, want %q", a.flow.Bytes, a.Index, want)
			}
		}
	})
}

// TestOtherDirectories says which directories in that of the spool are lanes.
func TestOtherDirectories(t *testing.T) {
	c := newConfig(t, hectest.New(t, token).URL)
	for _, name := range []string{"frame", "flow@", "vpcflow@a b", "flows", "lost+found", "Flow", "@flow", "ledger-1", "flow@\xff"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(c.Dir, "ledger"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, c)
	var got []string
	for _, l := range s.Stats().Lanes {
		got = append(got, l.Name)
	}
	if want := []string{"flow", "flow@", "frame", "vpcflow@a b"}; !slices.Equal(got, want) {
		t.Errorf("lanes %q, want %q", got, want)
	}
	finish(t, s)
}

// TestRestart says that what was not answered for is sent by the next process, as
// the same events.
func TestRestart(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		server.Always(hectest.Answer{Fault: hectest.Drop}) // takes them, and does not say so
		s := open(t, c)
		give(s, 0, 100)
		after(time.Second)
		if l := finish(t, s); l.Offered != 100 || l.Pending != 100 {
			t.Fatalf("account %+v, want 100 pending", l)
		}
		before := numbers(t, server)
		server.Always(hectest.Answer{})
		s = open(t, c)
		if l := s.Ledger(); l.Offered != 100 || l.Pending != 100 {
			t.Errorf("account %+v, want 100 offered again", l)
		}
		after(time.Second)
		if l := finish(t, s); l.Offered != 100 || l.Stored != 100 {
			t.Errorf("account %+v, want 100 stored", l)
		}
		now := numbers(t, server) // and each has one event_uid
		for n := range 100 {
			if before[n] == 0 || now[n] != before[n]+1 {
				t.Fatalf("flow %d came %d times before and %d in all", n, before[n], now[n])
			}
		}
		s = open(t, c)
		if l := finish(t, s); l.Offered != 0 {
			t.Errorf("account %+v, want nothing left", l)
		}
	})
}

// TestCloseTakesItsTime holds how long Close takes.
func TestCloseTakesItsTime(t *testing.T) {
	const limit = 30 * time.Second
	for name, row := range map[string]struct {
		answer      hectest.Answer
		least, most time.Duration
		pending     uint64
	}{
		"all is sent":       {hectest.Answer{}, 0, 0, 0},
		"nobody takes":      {busy, 0, 200 * time.Millisecond, 10},
		"no answer comes":   {hectest.Answer{Fault: hectest.Hang}, limit, limit, 10},
		"tokens are wrong":  {hectest.Answer{Status: 403, Body: `{"text":"Invalid token","code":4}`}, 0, 200 * time.Millisecond, 10},
		"index is wrong":    {wrongIndex, 0, 200 * time.Millisecond, 10},
		"everything is bad": {badData, 0, 200 * time.Millisecond, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
				c.holdLeast = holdLeast
				server.Always(row.answer)
				s := open(t, c)
				give(s, 0, 10)
				after(20 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				start := time.Now()
				if err := s.Close(ctx); err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took < row.least || took > row.most {
					t.Errorf("took %v, want %v to %v", took, row.least, row.most)
				}
				if l := s.Ledger(); l.Pending != row.pending || l.Imbalance() != 0 {
					t.Errorf("account %+v, want %d pending", l, row.pending)
				}
				if err := s.Close(ctx); err != nil {
					t.Errorf("the second Close: %v", err)
				}
			})
		})
	}
}

// TestCloseWaitsForWhatIsOut says that Close waits for the answer to a request of
// a lane that is held, too.
func TestCloseWaitsForWhatIsOut(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.holdLeast = holdLeast
		server.Script(wrongIndex)
		server.Always(hectest.Answer{Fault: hectest.Hang})
		s := open(t, c)
		give(s, 0, 10)
		after(holdLeast + time.Second) // it is tried again
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil || ctx.Err() == nil {
			t.Errorf("error %v; Close did not wait", err)
		}
	})
}
