package splunk

import (
	"testing"
	"testing/synctest"
	"time"

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

