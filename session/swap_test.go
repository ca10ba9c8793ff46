package session_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

func TestReplaceKeepsIdentity(t *testing.T) {
	entry := session.Entry{
		Name: "a", VNI: 1, Source: addr("10.0.0.1"), MAC: [6]byte{2}, Addresses: []packet.Addr{addr("10.0.0.1")},
		Workload: packet.Workload{Service: "web", Labels: map[string]string{"k": "v"}},
	}
	tests := []struct {
		name   string
		change func(e *session.Entry)
		same   bool
	}{
		{"nothing", func(e *session.Entry) {}, true},
		{"equal map and slice", func(e *session.Entry) {
			e.Workload.Labels = map[string]string{"k": "v"}
			e.Addresses = []packet.Addr{addr("10.0.0.1")}
		}, true},
		{"name", func(e *session.Entry) { e.Name = "b" }, false},
		{"vni", func(e *session.Entry) { e.VNI = 2 }, false},
		{"source", func(e *session.Entry) { e.Source = addr("10.0.0.2") }, false},
		{"no source", func(e *session.Entry) { e.Source = packet.Addr{} }, false},
		{"mac", func(e *session.Entry) { e.MAC = [6]byte{4} }, false},
		{"addresses", func(e *session.Entry) { e.Addresses = nil }, false},
		{"workload", func(e *session.Entry) { e.Workload.Service = "db" }, false},
		{"label", func(e *session.Entry) { e.Workload.Labels = map[string]string{"k": "w"} }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := newTable(t, session.Config{})
			table.Replace([]session.Entry{entry})
			before := table.Sessions()[0]
			changed := entry
			tt.change(&changed)
			change := table.Replace([]session.Entry{changed})
			after := table.Sessions()[0]

			want := session.Change{Added: 1, Ended: 1}
			if tt.same {
				want = session.Change{Kept: 1}
			}
			if change != want || before == after != tt.same || before.ID == after.ID != tt.same || before.Ended.Load() == tt.same {
				t.Errorf("change %+v, ids %d and %d, ended %v", change, before.ID, after.ID, before.Ended.Load())
			}
			if got, _ := table.Lookup(&packet.Frame{VNI: changed.VNI, Source: changed.Source}); got != after || after.Ended.Load() {
				t.Errorf("found %+v, want %+v", got, after)
			}
			if ended := table.Ended(); slices.Contains(ended, before) == tt.same || slices.Contains(ended, after) {
				t.Errorf("ended %v", names(ended))
			}
		})
	}
}

func TestReplaceEndsExplainedUnknown(t *testing.T) {
	table := newTable(t, session.Config{UnknownMax: 3})
	for vni := range uint32(3) {
		table.Lookup(&packet.Frame{VNI: vni, Source: packet.Addr{}})
	}
	zero, _ := table.Lookup(&packet.Frame{VNI: 0, Source: packet.Addr{}})
	two, _ := table.Lookup(&packet.Frame{VNI: 2, Source: packet.Addr{}})
	if got := found(table, 7, ""); got != "unknown_limit" {
		t.Fatal(got)
	}
	entries := []session.Entry{{Name: "one", VNI: 1}, {Name: "two-a", VNI: 2, Source: addr("10.0.0.1")}}
	if change := table.Replace(entries); change != (session.Change{Added: 2, Ended: 2}) {
		t.Errorf("change %+v", change)
	}
	if s, _ := table.Lookup(&packet.Frame{VNI: 0, Source: packet.Addr{}}); s != zero || s.Ended.Load() {
		t.Errorf("what nothing explains does not stay: %+v", s)
	}
	if !two.Ended.Load() {
		t.Error("what an entry with a source explains did not end")
	}
	for _, tt := range []struct {
		vni          uint32
		source, want string
	}{
		{1, "", "one"},
		{2, "10.0.0.1", "two-a"},
		{7, "", "vni-7"},         // the first room that is free again
		{2, "10.0.0.2", "vni-2"}, // the second
		{8, "", "unknown_limit"},
	} {
		if got := found(table, tt.vni, tt.source); got != tt.want {
			t.Errorf("vni %d from %q: got %s, want %s", tt.vni, tt.source, got, tt.want)
		}
	}
	// An unchanged entry explains nothing new.
	if change := table.Replace(entries); change != (session.Change{Kept: 2}) {
		t.Errorf("change %+v", change)
	}
}

func TestSetUnknown(t *testing.T) {
	table := newTable(t, session.Config{UnknownMax: 4})
	known := []session.Entry{{Name: "known", VNI: 100}}
	table.Replace(known)
	before, _ := table.Lookup(&packet.Frame{VNI: 100, Source: packet.Addr{}})
	for vni := range uint32(4) {
		table.Lookup(&packet.Frame{VNI: vni, Source: packet.Addr{}})
	}
	steps := []struct {
		name   string
		do     func() session.Change
		want   session.Change
		live   []string
		lookup string // of vni 3
	}{
		{"less room ends the newest", func() session.Change { return table.SetUnknown(session.Keep, 2) },
			session.Change{Kept: 1, Ended: 2}, []string{"known", "vni-0", "vni-1"}, "unknown_limit"},
		{"drop ends all", func() session.Change { return table.SetUnknown(session.Drop, 2) },
			session.Change{Kept: 1, Ended: 2}, []string{"known"}, "unknown_session"},
		{"keep again", func() session.Change { return table.SetUnknown(session.Keep, 2) },
			session.Change{Kept: 1}, []string{"known"}, "vni-3"},
		{"entries and policy at once", func() session.Change { return table.Update(known, session.Drop, 2) },
			session.Change{Kept: 1, Ended: 1}, []string{"known"}, "unknown_session"},
		{"replace keeps the policy", func() session.Change { return table.Replace(known) },
			session.Change{Kept: 1}, []string{"known"}, "unknown_session"},
	}
	for _, tt := range steps {
		if got := tt.do(); got != tt.want {
			t.Errorf("%s: change %+v, want %+v", tt.name, got, tt.want)
		}
		if got := names(table.Sessions()); !slices.Equal(got, tt.live) {
			t.Errorf("%s: sessions %v, want %v", tt.name, got, tt.live)
		}
		if got := found(table, 3, ""); got != tt.lookup {
			t.Errorf("%s: vni 3: %s, want %s", tt.name, got, tt.lookup)
		}
	}
	if after, _ := table.Lookup(&packet.Frame{VNI: 100, Source: packet.Addr{}}); after != before {
		t.Error("the known session was replaced")
	}
}

func TestEndedIsBounded(t *testing.T) {
	table := newTable(t, session.Config{Workers: 2})
	const rounds = 1030 // six more than are remembered
	var all []*packet.Session
	for i := range rounds {
		table.Replace([]session.Entry{{Name: fmt.Sprint("n", i), VNI: 1}})
		s, _ := table.Lookup(&packet.Frame{VNI: 1, Source: packet.Addr{}})
		s.Tallies[0].Delivered.Store(1)
		s.Tallies[1].Delivered.Store(2)
		s.Tallies[1].Directions[packet.Egress].Store(2)
		s.Tallies[0].LastSeen.Store(int64(i))
		all = append(all, s)
	}
	table.Replace(nil)
	if ended := table.Ended(); !slices.Equal(ended, all[6:]) {
		t.Errorf("%d ended, from %s", len(ended), ended[0].Name)
	}
	f := table.Forgotten()
	if f.Delivered.Load() != 6*3 || f.Directions[packet.Egress].Load() != 6*2 || f.LastSeen.Load() != 5 {
		t.Errorf("forgotten: %d delivered, %d egress, last seen %d",
			f.Delivered.Load(), f.Directions[packet.Egress].Load(), f.LastSeen.Load())
	}
}

// A worker may have looked a session up before it ended and count it after.
func TestForgottenSessionsAreStillCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newTable(t, session.Config{Workers: 1})
		entries := make([]session.Entry, 2000)
		for i := range entries {
			entries[i] = session.Entry{Name: fmt.Sprint("n", i), VNI: uint32(i)}
		}
		table.Replace(entries)
		held, _ := table.Lookup(&packet.Frame{VNI: 0, Source: packet.Addr{}}) // the first to be forgotten
		table.Replace(nil)
		if slices.Contains(table.Ended(), held) {
			t.Fatal("the session is remembered, so this shows nothing")
		}
		held.Tallies[0].Delivered.Add(5)
		if n := table.Forgotten().Delivered.Load(); n != 5 {
			t.Errorf("%d delivered, want 5", n)
		}
		time.Sleep(time.Minute)
		table.Replace(entries)
		table.Replace(nil)
		if n := table.Forgotten().Delivered.Load(); n != 5 {
			t.Errorf("%d delivered after the grace, want 5", n)
		}
	})
}

// heap returns the bytes in use after collection.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestThousandReloadsKeepMemoryFlat(t *testing.T) {
	table := newTable(t, session.Config{Workers: 2, UnknownMax: 16})
	const n = 100
	table.Replace(many("vni", n))
	before := table.Sessions()
	for vni := range uint32(16) {
		table.Lookup(&packet.Frame{VNI: vni, Source: packet.Addr{}})
	}
	start := heap()
	for range 1000 {
		if change := table.Replace(many("vni", n)); change != (session.Change{Kept: n}) {
			t.Fatalf("change %+v", change)
		}
	}
	if grown := heap() - start; grown > 256<<10 {
		t.Errorf("grew by %d bytes", grown)
	}
	after := slices.DeleteFunc(table.Sessions(), func(s *packet.Session) bool { return !s.Known })
	if !slices.Equal(before, after) {
		t.Error("sessions changed")
	}
	if len(table.Sessions()) != n+16 || len(table.Ended()) != 0 {
		t.Errorf("%d sessions, %d ended", len(table.Sessions()), len(table.Ended()))
	}
}

// Workers look up while the table is replaced: each finds, for a VNI that is
// always explained, a session that explains it.
func TestReplaceUnderLoad(t *testing.T) {
	table := newTable(t, session.Config{Workers: 2, UnknownMax: 8})
	tables := [][]session.Entry{
		{{Name: "a", VNI: 1}, {Name: "b", VNI: 2, Source: addr("10.0.0.1")}, {Name: "c", VNI: 3}},
		{{Name: "a", VNI: 1}, {Name: "B", VNI: 2}},
		{{Name: "a", VNI: 1}, {Name: "bb", VNI: 2, Source: addr("10.0.0.1")}, {Name: "x", VNI: 4}},
	}
	table.Replace(tables[0])
	always, _ := table.Lookup(&packet.Frame{VNI: 1, Source: packet.Addr{}})
	var done atomic.Bool
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for !done.Load() {
				if s, _ := table.Lookup(&packet.Frame{VNI: 1, Source: addr("10.0.0.9")}); s != always {
					t.Errorf("vni 1: found %v", s)
					return
				}
				if s, _ := table.Lookup(&packet.Frame{VNI: 2, Source: addr("10.0.0.1")}); s == nil || !s.Known || s.VNI != 2 {
					t.Errorf("vni 2: found %v", s)
					return
				}
				vni := random.Uint32N(20)
				if s, r := table.Lookup(&packet.Frame{VNI: vni, Source: packet.Addr{}}); s != nil && s.VNI != vni || s == nil && r != packet.UnknownLimit {
					t.Errorf("vni %d: found %v, %v", vni, s, r)
					return
				}
			}
		})
	}
	for i := range 1000 {
		table.Replace(tables[i%len(tables)])
		sessions := table.Sessions()
		if !slices.IsSorted(names(sessions)) || len(sessions) > 3+8 {
			t.Errorf("sessions %v", names(sessions))
		}
		for _, s := range sessions {
			if s.Ended.Load() {
				t.Errorf("%s is live and ended", s.Name)
			}
		}
	}
	done.Store(true)
	wg.Wait()
	ids := make(map[uint32]bool)
	for _, s := range append(table.Sessions(), table.Ended()...) {
		if ids[s.ID] || s.ID == 0 {
			t.Errorf("id %d is used twice, or 0", s.ID)
		}
		ids[s.ID] = true
	}
	if always.Ended.Load() {
		t.Error("the session that stayed has ended")
	}
}
