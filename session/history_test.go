package session_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// What a session became has its counts in the end, also those that came late, and
// until then both are listed.
func TestBecameKeepsCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newTable(t, session.Config{Workers: 2, UnknownMax: 1, BySource: 1})
		frame := packet.Frame{VNI: 7, Source: addr("10.0.0.1"), Time: 1}
		unknown, _ := table.Lookup(&frame)
		unknown.Tallies[0].Delivered.Add(3)
		unknown.Tallies[0].LastSeen.Store(9)
		entry := session.Entry{Name: "eni-1", VNI: 7, Source: addr("10.0.0.1"), Learned: true, Workload: packet.Workload{InterfaceID: "eni-1"}}
		table.Learn([]session.Entry{entry})
		first, _ := table.Lookup(&frame)
		first.Tallies[1].Delivered.Add(20)
		entry.Workload.Service = "web"
		table.Learn([]session.Entry{entry})
		second, _ := table.Lookup(&frame)
		second.Tallies[1].Delivered.Add(100)
		if unknown.Identified() != second || first.Identified() != second {
			t.Fatal("they are not one session, so this shows nothing")
		}

		counts := func() (listed int, delivered uint64) {
			table.Account(func(sessions []*packet.Session, forgotten *packet.Tally) {
				listed, delivered = len(sessions), forgotten.Delivered.Load()
				for _, s := range sessions {
					for i := range s.Tallies {
						delivered += s.Tallies[i].Delivered.Load()
					}
				}
			})
			return listed, delivered
		}
		if listed, n := counts(); listed != 3 || n != 123 || !slices.Equal(table.Ended(), []*packet.Session{unknown, first}) {
			t.Errorf("%d sessions with %d frames, ended: %v", listed, n, names(table.Ended()))
		}
		time.Sleep(9 * time.Second)
		unknown.Tallies[1].Delivered.Add(1000) // a worker's batch ends late
		table.Learn([]session.Entry{entry})
		if listed, n := counts(); listed != 3 || n != 1123 {
			t.Errorf("before the grace: %d sessions with %d frames", listed, n)
		}
		time.Sleep(time.Second)
		table.Learn([]session.Entry{entry})
		if listed, n := counts(); listed != 1 || n != 1123 || second.Tallies[2].LastSeen.Load() != 9 {
			t.Errorf("after the grace: %d sessions with %d frames, last seen %d", listed, n, second.Tallies[2].LastSeen.Load())
		}
		if n := second.Tallies[0].Delivered.Load() + second.Tallies[1].Delivered.Load(); n != 100 {
			t.Errorf("after the grace: the workers' own tallies have %d frames, want 100", n)
		}

		// It ends, and is forgotten: all counts are in the sum.
		var crowd []session.Entry
		for i := range 1024 {
			crowd = append(crowd, session.Entry{Name: fmt.Sprint("n", i), VNI: uint32(100 + i)})
		}
		table.Learn(nil)
		table.Replace(crowd)
		table.Replace(nil)
		time.Sleep(time.Minute)
		table.Replace(nil)
		if n := table.Forgotten().Delivered.Load(); n != 1123 || slices.Contains(table.Ended(), second) {
			t.Errorf("%d frames are in the sum, want 1123", n)
		}
	})
}

// Sessions that become others are not remembered beyond the grace, however many
// there are.
func TestBecameIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := newTable(t, session.Config{Workers: 1, UnknownMax: 4, BySource: 4})
		entry := session.Entry{Name: "web", VNI: 7, Source: addr("10.0.0.1"), MAC: [6]byte{0x0a}, Learned: true, Workload: packet.Workload{InterfaceID: "eni-1"}}
		foreign := packet.Frame{VNI: 7, Source: addr("10.0.0.1"), Time: 1, Data: make([]byte, 60)}
		foreign.Data[0], foreign.Data[6] = 0x0e, 0x0c // between two other interfaces
		const rounds = 5000
		var before *packet.Session
		for range rounds {
			table.Learn([]session.Entry{entry})
			if before != nil && before.Identified() == before {
				t.Fatal("it became nothing, so this shows nothing")
			}
			s, _ := table.Lookup(&foreign)
			before = s
			s.Tallies[0].Delivered.Add(1)
			time.Sleep(time.Second)
		}
		table.Learn([]session.Entry{entry})
		if n := len(table.Ended()); n > 12 {
			t.Errorf("%d sessions are remembered", n)
		}
		var sum uint64
		table.Account(func(sessions []*packet.Session, forgotten *packet.Tally) {
			for _, s := range sessions {
				for i := range s.Tallies {
					sum += s.Tallies[i].Delivered.Load()
				}
			}
			sum += forgotten.Delivered.Load()
		})
		if sum != rounds {
			t.Errorf("%d frames, want %d", sum, rounds)
		}
	})
}
