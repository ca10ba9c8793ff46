package session_test

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// announced returns what a sender says of itself.
func announced(name string, mac [6]byte, from, until int64) session.Entry {
	e := learnt(name, mac, from, until)
	e.Announced, e.Workload.InterfaceID, e.Workload.SessionID = true, "", ""
	return e
}

// An unknown session of any source becomes the learnt one that alone sent its
// frames.
func TestLearntFillsUnknownOfAnySource(t *testing.T) {
	now := time.Now().UnixNano()
	const minute = int64(time.Minute)
	elsewhere := sent(now, macA)
	elsewhere.Source = peer
	own := sent(now, macA)
	raw := &packet.Frame{VNI: own.VNI, Source: own.Source, Time: now, Data: make([]byte, 60)} // of no IP
	copy(raw.Data, own.Data[:12])
	raw.Data[12], raw.Data[13] = 0x88, 0xb5
	ipv6 := func(time int64, mac [6]byte) *packet.Frame {
		return ethernet(time, router, mac, addr("fd00::1"), addr("fd00::2"))
	}
	for _, tt := range []struct {
		name    string
		frames  []*packet.Frame
		from    int64
		becomes bool
	}{
		{"one frame", []*packet.Frame{own}, now - minute, true},
		{"as it began", []*packet.Frame{own}, now, true},
		{"before it began", []*packet.Frame{own}, now + 1, false},
		{"the announcement itself", []*packet.Frame{raw}, now, true},
		{"then its frames", []*packet.Frame{raw, own, received(now+5, macA), own}, now, true},
		{"of another source", []*packet.Frame{elsewhere}, now - minute, false},
		{"of two sources", []*packet.Frame{own, elsewhere, own}, now - minute, false},
		{"of two interfaces", []*packet.Frame{own, sent(now, macB)}, now - minute, false},
		{"the announcement, then another interface", []*packet.Frame{raw, sent(now, macB)}, now, false},
		{"of another interface", []*packet.Frame{sent(now, macB)}, now - minute, false},
		{"of no interface that tells, then of one", []*packet.Frame{ipv6(now, macA), own}, now, true},
		{"of no interface that tells, then of another", []*packet.Frame{ipv6(now, macB), own}, now, false},
		{"of none that tells, of another", []*packet.Frame{ipv6(now, macB)}, now, false},
		{"for two minutes", []*packet.Frame{own, sent(now+2*minute-1, macA)}, now, true},
		{"for longer", []*packet.Frame{own, sent(now+2*minute, macA)}, now, false},
	} {
		table := newTable(t, session.Config{UnknownMax: 1})
		var s *packet.Session
		for _, f := range tt.frames {
			found, _ := table.Lookup(f)
			if s = found; s.Name != "vni-7" {
				t.Fatal(tt.name, s.Name)
			}
		}
		table.Learn([]session.Entry{announced("task", macA, tt.from, 0)})
		became := s.Identified()
		if tt.becomes != (became.Name == "task") || tt.becomes != s.Ended.Load() || tt.becomes != became.Announced {
			t.Errorf("%s: became %s, ended %v", tt.name, became.Name, s.Ended.Load())
		}
		if !tt.becomes && s.Sole.Mixed.Load() {
			if again, _ := table.Lookup(elsewhere); again != s {
				t.Errorf("%s: it does not go on", tt.name)
			}
		}
		if got := whose(t, table, sent(max(now, tt.from), macA)); got != "task" {
			t.Errorf("%s: then %s", tt.name, got)
		}
	}
}

// A second sender that comes while the table changes is not taken for the first.
func TestSecondSenderWhileTableChanges(t *testing.T) {
	now := time.Now().UnixNano()
	for i := range 2000 {
		table := newTable(t, session.Config{UnknownMax: 2})
		first, _ := table.Lookup(sent(now, macA))
		var wg sync.WaitGroup
		var second *packet.Session
		var begin atomic.Bool
		wg.Go(func() {
			f := sent(now, macB)
			f.Source = peer
			for !begin.Load() {
			}
			for range i { // from before the change to behind it
				begin.Load()
			}
			second, _ = table.Lookup(f)
		})
		begin.Store(true)
		table.Learn([]session.Entry{announced("task", macA, now-1, 0)})
		wg.Wait()
		if second.Identified().Name != "vni-7" {
			t.Fatalf("%s became %s", second.Name, second.Identified().Name)
		}
		if second == first && first.Ended.Load() {
			t.Fatal("the second sender's frame is of a session that ended")
		}
	}
}

// A sender that names itself gets no name that somebody has.
func TestAnnouncedNames(t *testing.T) {
	table := newTable(t, session.Config{})
	tail := "-03040506"
	mac := [6]byte{0x0a, 2, 3, 4, 5, 6}
	long := strings.Repeat("x", 128)
	table.Replace([]session.Entry{{Name: "db", VNI: 1}, {Name: "db" + tail, VNI: 2}, {Name: "db-0", VNI: 3}, {Name: long, VNI: 4}, {Name: "web", VNI: 5}})
	aws := learnt("web", macB, 100, 0)
	aws.Workload.InterfaceID = "eni-12345678"
	like := func(name string, vni uint32) session.Entry {
		e := announced(name, mac, 100, 0)
		e.VNI = vni
		return e
	}
	table.Learn([]session.Entry{aws, like("db", 11), like("web-12345678", 12), like(long, 13), like("db"+tail, 14), like("vni-1", 15)})
	var got []string
	for _, s := range table.Sessions() {
		if s.Announced {
			got = append(got, s.Name)
		} else if s.Learned && s.Name != "web-12345678" {
			t.Errorf("AWS's is %s", s.Name)
		}
	}
	want := []string{"_vni-1", "db" + tail + tail, "db-1", "web-12345678" + tail, strings.Repeat("x", 128-len(tail)) + tail}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Successive announced tenures of one interface are sessions of their own; more
// about one is the same session.
func TestAnnouncedTenures(t *testing.T) {
	table := newTable(t, session.Config{UnknownMax: 1})
	first, second := announced("a", macA, 100, 200), announced("a", macA, 200, 0)
	table.Learn([]session.Entry{first, second})
	one, _ := table.Lookup(sent(150, macA))
	two, _ := table.Lookup(sent(250, macA))
	if one == two || one.Until.Load() != 200 {
		t.Fatalf("%+v, %+v", one, two)
	}
	second.Workload.ContainerIDs = []string{"c"}
	table.Learn([]session.Entry{first, second})
	if again, _ := table.Lookup(sent(150, macA)); again != one {
		t.Error("the one that ended is another")
	}
	if now := two.Identified(); now == two || len(now.Workload.ContainerIDs) != 1 {
		t.Errorf("%+v", now)
	}
}
