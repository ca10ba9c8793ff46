package splunk

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// stranger returns an unknown session, and what makes it known.
func stranger() (before *packet.Session, learn func()) {
	before = &packet.Session{ID: 8, Name: "vni-7", VNI: 7}
	return before, func() {
		before.Become(&packet.Session{ID: 9, Name: "web", VNI: 7, Known: true, Workload: packet.Workload{AccountID: "111122223333"}})
		before.Ended.Store(true)
	}
}

// sessionsOf returns the session of each event that came, by its kind; of a line the
// account.
func sessionsOf(t testing.TB, server *hectest.Server) (list []string) {
	t.Helper()
	for _, a := range arrivals(t, server) {
		var e struct{ Session string }
		var line string
		switch {
		case json.Unmarshal(a.Event, &line) == nil:
			e.Session = strings.Fields(line)[1]
		case json.Unmarshal(a.Event, &e) != nil:
			t.Fatalf("%s", a.Event)
		}
		list = append(list, a.Sourcetype+" "+e.Session)
	}
	return list
}

// Events say who the session is by the time they are made.
func TestEventsAreOfWhatTheSessionBecame(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.VPCFlow, c.Frames = true, FrameConfig{Mode: FramesAll}
		s := open(t, c)
		before, learn := stranger()
		f, r := frame(1), flow(1)
		f.Session, r.Session = before, before
		s.Frames().Offer(0, f)
		s.Flow(0, r)
		learn() // while they wait
		time.Sleep(time.Second)
		s.Frames().Mark(0, 0, time.Now().UnixNano())
		s.Mark(0, 0, time.Now().UnixNano())
		after(time.Second)
		finish(t, s)
		got := make(map[string]int)
		for _, e := range sessionsOf(t, server) {
			got[e]++
		}
		want := map[string]int{"periscope:flow web": 1, "periscope:frame web": 1, "aws:cloudwatchlogs:vpcflow 111122223333": 2}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("events %v, want %v", got, want)
		}
	})
}

// Those of a roll-up too.
func TestRollUpIsOfWhatTheSessionBecame(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.Budget = Budget{Flow: maxEvent, Top: 2}
		s := open(t, c)
		before, learn := stranger()
		giveOf(s, before, 1, 3)
		after(time.Second)
		learn()
		after(time.Minute)
		finish(t, s)
		if got := fmt.Sprint(sessionsOf(t, server)); got != "[periscope:flow web periscope:flow web]" {
			t.Errorf("events %v", got)
		}
	})
}
