package splunk

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// TestLateAcknowledgementEndsNoHold says that a batch that was read before a hold
// began does not end it when it is acknowledged.
func TestLateAcknowledgementEndsNoHold(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Indexes.Flow, c.holdLeast = "net", holdLeast
		server.SetAcks(hectest.Acks{On: true, After: 1})
		s := open(t, c)
		give(s, 0, 100)
		after(time.Second)
		server.SetIndexes("other")
		give(s, 100, 200)
		after(20 * time.Second)
		if l := laneNamed(t, s, "flow@net"); l.Stored != 100 || l.Held != "index" {
			t.Errorf("%d stored, held for %q; want 100 and index", l.Stored, l.Held)
		}
		server.SetIndexes("net")
		after(9 * time.Second)
		if n := len(server.Events()); n != 100 {
			t.Errorf("%d events came while the lane is held, want 100", n)
		}
		after(time.Minute)
		finish(t, s)
		wantOnce(t, numbers(t, server), 0, 200)
	})
}

// TestHoldDoublesAndEnds says that only batches that were read after a hold was
// over make the next one longer, or end it.
func TestHoldDoublesAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(1000)
		early, _ := p.next()
		for i, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, holdMost, holdMost} {
			turn, ok := p.next()
			if !ok {
				t.Fatalf("hold %d: the lane may not be read", i)
			}
			p.hold(turn.epoch, 30*time.Second, "index")
			p.hold(turn.epoch, 30*time.Second, "index") // was out too
			p.passed(early.epoch)
			if turn, ok := p.next(); ok || p.held() != "index" || turn.events != probeEvents || !turn.trial {
				t.Errorf("hold %d: ready %v, held for %q, %+v", i, ok, p.held(), turn)
			}
			start := time.Now()
			p.wait(t.Context())
			if got := time.Since(start); got != want {
				t.Errorf("hold %d takes %v, want %v", i, got, want)
			}
		}
		for _, want := range []int{2 * probeEvents, 4 * probeEvents, 8 * probeEvents, 16 * probeEvents, 1000, 1000} {
			turn, _ := p.next()
			p.passed(turn.epoch)
			if turn, ok := p.next(); !ok || p.held() != "" || turn.trial || turn.events != want {
				t.Errorf("ready %v, held for %q, %+v; want %d events", ok, p.held(), turn, want)
			}
		}
		turn, _ := p.next()
		p.hold(turn.epoch, time.Second, "index")
		start := time.Now()
		p.wait(t.Context())
		if got := time.Since(start); got != time.Second {
			t.Errorf("the first hold after one that is over takes %v, want 1s", got)
		}
	})
}

// TestServerWithALowLimit says that requests that are too large are so at the
// beginning only.
func TestServerWithALowLimit(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		server.SetLimit(300_000)
		s := open(t, c)
		give(s, 0, 5000) // 3.5 MB
		after(10 * time.Second)
		give(s, 5000, 10_000)
		after(10 * time.Second)
		large := refusedTooLarge(s)
		if large == 0 {
			t.Fatal("no request was too large")
		}
		give(s, 10_000, 20_000)
		finish(t, s)
		if n := refusedTooLarge(s); n != large {
			t.Errorf("%d requests were too large, and %d more later", large, n-large)
		}
		wantOnce(t, numbers(t, server), 0, 20_000)
	})
}

func refusedTooLarge(s *Sink) uint64 {
	return s.Stats().HEC.Endpoints[0].Requests[hec.Answer{HTTP: http.StatusRequestEntityTooLarge, Code: -1}]
}

// TestBatchesAreNotTooSmall says how far the bytes of a request come down.
func TestBatchesAreNotTooSmall(t *testing.T) {
	p := newPace(1000)
	for _, row := range []struct{ refused, want int }{
		{2 * batchBytes, batchBytes}, {batchBytes, batchBytes / 2}, {batchBytes, batchBytes / 2},
		{2*batchLeast + 2, batchLeast + 1}, {2 * batchLeast, batchLeast}, {10, batchLeast},
	} {
		p.tooLarge(row.refused)
		if turn, _ := p.next(); turn.bytes != row.want {
			t.Errorf("after %d bytes were too many %d are read, want %d", row.refused, turn.bytes, row.want)
		}
	}
}

// TestBatchThatIsRefusedWhole says how many requests it takes.
func TestBatchThatIsRefusedWhole(t *testing.T) {
	named := badData
	named.Body = `{"text":"Invalid data format","code":6,"invalid-event-number":0}`
	for name, test := range map[string]struct {
		answer hectest.Answer
		want   int
	}{"quiet": {badData, mostHalved}, "the first is named": {named, mostHalved + hopeless/2}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
				c.holdLeast, c.linger = holdLeast, time.Second
				server.Always(test.answer)
				s := open(t, c)
				give(s, 0, 1200) // one batch
				after(10 * time.Second)
				if n := len(server.Seen()); n != test.want || laneNamed(t, s, "flow").Held != "refused" {
					t.Errorf("%d requests, want %d and the lane held", n, test.want)
				}
				server.Always(hectest.Answer{})
				after(time.Minute)
				finish(t, s)
				wantOnce(t, numbers(t, server), 0, 1200)
			})
		})
	}
}
