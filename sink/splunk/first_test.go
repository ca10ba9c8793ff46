package splunk

import (
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// TestFirstAlwaysNamed says that a server that finds every event bad, and names
// the first one each time, does not make the sink put all of them aside.
func TestFirstAlwaysNamed(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		server.Always(hectest.Answer{Status: 400, Body: `{"text":"Invalid data format","code":6,"invalid-event-number":0}`})
		s := open(t, c)
		give(s, 0, 300)
		after(10 * time.Minute)
		if l := s.Ledger(); l.Pending != 300 || l.Dropped[packet.DropRefused] != 0 {
			t.Errorf("account %+v, want 300 pending", l)
		}
		if held := s.Stats().Lanes[0].Held; held != "refused" {
			t.Errorf("the lane is held for %q, want refused", held)
		}
		server.Always(hectest.Answer{})
		after(holdMost)
		finish(t, s)
		wantOnce(t, numbers(t, server), 0, 300)
	})
}

// TestManyBadAtTheFront says that more bad events than are believed in a row are
// put aside, and only they, when the server takes others.
func TestManyBadAtTheFront(t *testing.T) {
	var bad []int
	for n := range 4 * hopeless {
		bad = append(bad, n)
	}
	for _, quiet := range []bool{false, true} {
		server := hectest.New(t, token)
		c := newConfig(t, newPicky(t, server, quiet, bad...))
		c.linger = time.Second // one batch
		s := open(t, c)
		give(s, 0, 1000)
		l := finish(t, s)
		wantOnce(t, numbers(t, server), 0, 1000, bad...)
		if l.Dropped[packet.DropRefused] != uint64(len(bad)) || len(quarantined(t, c.Dir)) != len(bad) {
			t.Errorf("quiet %v: account %+v, want %d refused", quiet, l, len(bad))
		}
	}
}
