package session_test

import (
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// An unknown session becomes the learnt one that was behind it when it began.
func TestLearntFillsUnknown(t *testing.T) {
	now := time.Now().UnixNano()
	other := learnt("other", macA, now-10, 0)
	other.Source = peer
	noMAC := learnt("noMAC", [6]byte{}, now-10, 0)
	for _, tt := range []struct {
		name    string
		first   *packet.Frame
		listed  []session.Entry
		learnt  []session.Entry
		becomes string // "" if it goes on, - if it ends
	}{
		{"the same interface", sent(now, macA), nil, []session.Entry{learnt("a", macA, now-10, 0)}, "a"},
		{"just begun", sent(now, macA), nil, []session.Entry{learnt("a", macA, now, 0)}, "a"},
		{"ended meanwhile", sent(now, macA), nil, []session.Entry{learnt("a", macA, now-10, now+1)}, "a"},
		{"not begun", sent(now, macA), nil, []session.Entry{learnt("a", macA, now+1, 0)}, ""},
		{"ended before", sent(now, macA), nil, []session.Entry{learnt("a", macA, now-10, now)}, ""},
		{"another interface", sent(now, macA), nil, []session.Entry{learnt("b", macB, now-10, 0)}, ""},
		{"another source", sent(now, macA), nil, []session.Entry{other}, ""},
		{"no MAC address is learnt", sent(now, macA), nil, []session.Entry{noMAC}, "noMAC"},
		{"no MAC address was seen", ethernet(now, bcast, router, peer, peer), nil, []session.Entry{learnt("a", macA, now-10, 0)}, "a"},
		{"one of two by MAC", sent(now, macA), nil, []session.Entry{learnt("b", macB, now-5, 0), learnt("a", macA, now-10, 0)}, "a"},
		{"one of two by time", ethernet(now, bcast, router, peer, peer), nil, []session.Entry{learnt("b", macB, now+5, 0), learnt("a", macA, now-10, now+5)}, "a"},
		{"the file explains it", sent(now, macA), []session.Entry{{Name: "listed", VNI: 7}}, []session.Entry{learnt("a", macA, now-10, 0)}, "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, told := strangers(t, 2)
			s, _ := table.Lookup(tt.first)
			table.Replace(tt.listed)
			change := table.Learn(tt.learnt)
			next := s.Identified()
			switch {
			case tt.becomes == "":
				if again, _ := table.Lookup(tt.first); next != s || s.Ended.Load() || again != s || change.Ended != 0 {
					t.Errorf("%+v, ended %v, then %s", next, s.Ended.Load(), again.Name)
				}
				return
			case tt.becomes == "-":
				if next != s || !s.Ended.Load() {
					t.Errorf("became %s, ended %v", next.Name, s.Ended.Load())
				}
				return
			case next.Name != tt.becomes || !s.Ended.Load() || change.Ended != 1 || next.Ended.Load():
				t.Errorf("became %s, ended %v, %+v", next.Name, s.Ended.Load(), change)
			}
			if got, _ := table.Lookup(tt.first); got != next || len(*told) != 1 {
				t.Errorf("then %s, told %v", got.Name, *told)
			}
			// Its room is another's.
			for i := range byte(2) {
				f := sent(now, macA)
				f.VNI, f.Source[15] = 9, i
				if s, _ := table.Lookup(f); s == nil || s.Source.IsZero() {
					t.Errorf("there is no room: %+v", s)
				}
			}
		})
	}
}

// An unknown session of which no MAC address is known takes the IPv6 frames of
// whoever has the source. It becomes the learnt one that began it only if no frame
// was of another; else it ends as what it is.
func TestLearntDoesNotFillWithFramesOfTheNext(t *testing.T) {
	const second = int64(time.Second)
	now := time.Now().UnixNano()
	ipv6 := func(time int64, mac [6]byte) *packet.Frame {
		return ethernet(time, router, mac, addr("fd00::1"), addr("fd00::2"))
	}
	until := learnt("a", macA, now-second, now+10*second)
	open, next := until, learnt("b", macB, now+10*second, 0)
	open.Until = 0
	a, b := ipv6(now+9*second, macA), ipv6(now+10*second, macB)
	for _, tt := range []struct {
		name   string
		frames []*packet.Frame // behind the first, which is a's
		learnt []session.Entry
		same   bool // it becomes a
	}{
		{"none of another", []*packet.Frame{a, ipv6(now+1, macA)}, []session.Entry{until, next}, true},
		{"the first alone", nil, []session.Entry{until}, true},
		{"one of the next", []*packet.Frame{a, b}, []session.Entry{until, next}, false},
		{"one of the next, and a late one", []*packet.Frame{b, a}, []session.Entry{until, next}, false},
		{"one behind the end", []*packet.Frame{b}, []session.Entry{until}, false},
		{"one of the next, which AWS has beside it", []*packet.Frame{b}, []session.Entry{open, next}, false},
		{"no end is known", []*packet.Frame{b}, []session.Entry{open}, true},
	} {
		table, told := strangers(t, 2)
		s, _ := table.Lookup(ipv6(now, macA))
		for _, f := range tt.frames {
			if got, _ := table.Lookup(f); got != s || s.ByMAC {
				t.Fatalf("%s: %+v, so this shows nothing", tt.name, got)
			}
		}
		table.Learn(tt.learnt)
		if became := s.Identified().Name; (became == "a") != tt.same || (s.Identified() != s) != tt.same || !s.Ended.Load() {
			t.Errorf("%s: became %s, ended %v", tt.name, became, s.Ended.Load())
		}
		if got := whose(t, table, a); got != "a" || len(*told) != 1 {
			t.Errorf("%s: then %s, told %v", tt.name, got, *told)
		}
	}
}

// What a worker counted, at the end of a batch, tells when the last frame came. One
// with a MAC address is of that interface also shortly behind the end.
func TestLearntFillsByTheLastFrame(t *testing.T) {
	now := time.Now().UnixNano()
	for first, same := range map[*packet.Frame]bool{
		ethernet(now, bcast, router, peer, peer): false,
		sent(now, macA):                          true,
	} {
		table, _ := strangers(t, 2)
		s, _ := table.Lookup(first)
		s.Tallies[0].LastSeen.Store(now + 10)
		table.Learn([]session.Entry{learnt("a", macA, now-10, now+10)})
		if (s.Identified() != s) != same || !s.Ended.Load() {
			t.Errorf("by MAC %v: became %s, ended %v", s.ByMAC, s.Identified().Name, s.Ended.Load())
		}
	}
}

// What the session file explains by now is not said to be another's.
func TestLearntDoesNotFillWhatTheFileExplains(t *testing.T) {
	table, _ := strangers(t, 1)
	now := time.Now().UnixNano()
	listed := session.Entry{Name: "listed", VNI: 7, From: now - 10, Until: now}
	table.Replace([]session.Entry{listed})
	s, _ := table.Lookup(sent(now, macA))
	listed.Until = now + 10
	table.Replace([]session.Entry{listed})
	table.Learn([]session.Entry{learnt("a", macA, now-20, 0)})
	if s.Known || s.Identified() != s {
		t.Errorf("%+v became %+v", s, s.Identified())
	}
}
