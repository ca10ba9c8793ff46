package splunk

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// bubble runs f in a bubble, with a server in memory and what sends to it.
func bubble(t *testing.T, f func(t *testing.T, server *hectest.Server, c Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := hectest.NewNetwork(t)
		server := network.New(token)
		c := newConfig(t, server.URL)
		c.HEC.Dial = network.Dial
		c.linger = 0
		f(t, server, c)
	})
}

// after lets time pass, and what follows from it happen.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

var badData = hectest.Answer{Status: 400, Body: `{"text":"Invalid data format","code":6}`}

func TestSeveralBadEventsArePutAside(t *testing.T) {
	var every25th []int
	for n := 5; n < 1000; n += 25 {
		every25th = append(every25th, n)
	}
	for name, bad := range map[string][]int{
		"neighbours and ends": {0, 1, 499, 500, 998, 999},
		"a row of many":       {100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119},
		"one in 25":           every25th,
	} {
		for _, quiet := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/quiet=%v", name, quiet), func(t *testing.T) {
				bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
					makePicky(server, quiet, bad...)
					c.linger = time.Second // one batch
					s := open(t, c)
					give(s, 0, 1000)
					l := finish(t, s)
					wantOnce(t, numbers(t, server), 0, 1000, bad...)
					if l.Stored != uint64(1000-len(bad)) || l.Dropped[packet.DropRefused] != uint64(len(bad)) {
						t.Errorf("account %+v, want %d refused", l, len(bad))
					}
					var aside []int
					for _, q := range quarantined(t, c.Dir) {
						aside = append(aside, number(q.Event))
					}
					if slices.Sort(aside); !slices.Equal(aside, bad) {
						t.Errorf("events %v are put aside, want %v", aside, bad)
					}
				})
			})
		}
	}
}

// TestTooLarge says that a body that is too large is halved, and that the one
// event that is too large by itself is put aside.
func TestTooLarge(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		server.SetLimit(1_200)
		s := open(t, c)
		long := flow(50)
		long.Session = &packet.Session{Name: strings.Repeat("x", 800), VNI: 9, Known: true}
		s.Flow(0, long)
		give(s, 0, 50)
		l := finish(t, s)
		wantOnce(t, numbers(t, server), 0, 51, 50)
		if l.Stored != 50 || l.Dropped[packet.DropRefused] != 1 {
			t.Errorf("account %+v, want 50 stored and 1 refused", l)
		}
		lines := quarantined(t, c.Dir)
		if len(lines) != 1 || number(lines[0].Event) != 50 || lines[0].Code != -1 || !strings.Contains(lines[0].Text, "413") {
			t.Errorf("quarantine has %d lines, want flow 50 with status 413", len(lines))
		}
	})
}

// TestEverythingRefused says that a server that finds every event bad, and names
// none or the first one each time, does not make the sink put all of them aside:
// the lane waits until the server is well.
func TestEverythingRefused(t *testing.T) {
	for name, answer := range map[string]hectest.Answer{
		"none is named":  badData,
		"first is named": {Status: 400, Body: `{"text":"Invalid data format","code":6,"invalid-event-number":0}`},
	} {
		t.Run(name, func(t *testing.T) { everythingRefused(t, answer) })
	}
}

func everythingRefused(t *testing.T, answer hectest.Answer) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.batchEvents = 100
		server.Always(answer)
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
		l := finish(t, s)
		wantOnce(t, numbers(t, server), 0, 300)
		if l.Stored != 300 || s.Stats().Lanes[0].Held != "" {
			t.Errorf("account %+v, lane held for %q; want 300 stored", l, s.Stats().Lanes[0].Held)
		}
		if q := quarantined(t, c.Dir); q != nil {
			t.Errorf("%d events are put aside", len(q))
		}
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
		bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
			makePicky(server, quiet, bad...)
			c.linger = time.Second // one batch
			s := open(t, c)
			give(s, 0, 1000)
			l := finish(t, s)
			wantOnce(t, numbers(t, server), 0, 1000, bad...)
			if l.Dropped[packet.DropRefused] != uint64(len(bad)) || len(quarantined(t, c.Dir)) != len(bad) {
				t.Errorf("quiet %v: account %+v, want %d refused", quiet, l, len(bad))
			}
		})
	}
}

// TestRefusedLaneAsksLittle says that a lane whose events are all refused does not
// try a whole batch again and again.
func TestRefusedLaneAsksLittle(t *testing.T) {
	bubble(t, func(t *testing.T, server *hectest.Server, c Config) {
		c.holdLeast = holdLeast
		server.Always(badData)
		s := open(t, c)
		give(s, 0, 1000)
		after(time.Hour)
		server.Clear()
		after(time.Hour)
		const tries = 12 + 1
		if n := len(server.Seen()); n < tries-2 || n > tries*(2*probeEvents-1+hopeless) {
			t.Errorf("%d requests in an hour", n)
		}
		server.Always(hectest.Answer{})
		after(holdMost)
		finish(t, s)
		wantOnce(t, numbers(t, server), 0, 1000)
	})
}
