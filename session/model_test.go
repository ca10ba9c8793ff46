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

// A told is a frame, and the MAC addresses one of which is the interface's; none if
// it does not tell.
type told struct {
	*packet.Frame
	macs [][6]byte
}

// randomFrame returns a frame of one of few VNIs, sources, interfaces and times.
func randomFrame(r *rand.Rand, macs [][6]byte) told {
	mac, other, time := macs[r.IntN(len(macs))], macs[r.IntN(len(macs))], r.Int64N(100)
	var f told
	switch r.IntN(6) {
	case 0:
		f = told{sent(time, mac), [][6]byte{mac, router}}
	case 1:
		f = told{received(time, mac), [][6]byte{mac, router}}
	case 2:
		f = told{ethernet(time, mac, other, peer, peer), [][6]byte{mac, other}}
	case 3:
		f = told{ethernet(time, bcast, mac, own, peer), [][6]byte{mac}}
	case 4:
		f = told{ethernet(time, bcast, mac, peer, peer), nil}
	default:
		f = told{&packet.Frame{VNI: 7, Source: own, Time: time}, nil}
	}
	if r.IntN(4) == 0 {
		f.VNI = 8
	}
	return f
}

// expected is who holds a frame, found by looking at every entry.
func expected(entries []session.Entry, f told) (found *session.Entry) {
	better := func(e, than *session.Entry) bool {
		switch {
		case than == nil:
			return true
		case e.Learned != than.Learned:
			return !e.Learned
		case e.Source.IsZero() != than.Source.IsZero():
			return !e.Source.IsZero()
		}
		return e.From > than.From
	}
	for i := range entries {
		e := &entries[i]
		if e.VNI != f.VNI || !e.Source.IsZero() && e.Source != f.Source || f.Time < e.From || e.Until != 0 && f.Time >= e.Until {
			continue
		}
		if e.Learned && e.MAC != [6]byte{} && f.macs != nil && !slices.Contains(f.macs, e.MAC) {
			continue
		}
		if better(e, found) {
			found = e
		}
	}
	return found
}

// Whatever tenures there are, and however they change, a frame is whose it is by
// looking at every one of them.
func TestModel(t *testing.T) {
	macs := [][6]byte{{}, macA, macB, {0x0a, 3}}
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 2))
		table := newTable(t, session.Config{UnknownMax: 2})
		var listed, learnt []session.Entry
		for step := range 10 {
			if r.IntN(3) == 0 {
				listed = randomListed(r)
				table.Replace(slices.Clone(listed))
			} else {
				learnt = changed(r, learnt, macs, step)
				table.Learn(slices.Clone(learnt))
			}
			all := slices.Concat(listed, learnt)
			for range 100 {
				f := randomFrame(r, macs[1:])
				got, want := whose(t, table, f.Frame), fmt.Sprint("vni-", f.VNI)
				if e := expected(all, f); e != nil {
					want = e.Name
				}
				if got != want {
					t.Fatalf("seed %d, step %d, at %d of %x: %s, want %s\nof %+v", seed, step, f.Time, f.macs, got, want, all)
				}
			}
		}
	}
}

// randomListed returns entries of the session file: those of one VNI and source one
// after the other.
func randomListed(r *rand.Rand) (entries []session.Entry) {
	for _, id := range []session.Entry{{VNI: 7, Source: own}, {VNI: 7}, {VNI: 8}} {
		for time := r.Int64N(60); time < 100 && r.IntN(3) != 0; time += r.Int64N(20) {
			e := id
			e.From = time
			time += 1 + r.Int64N(30)
			e.Until = time
			e.Name = fmt.Sprintf("listed-%d-%v-%d", e.VNI, e.Source, e.From)
			entries = append(entries, e)
		}
	}
	return entries
}

// changed returns learnt entries of which some ended, or are gone, or new.
func changed(r *rand.Rand, entries []session.Entry, macs [][6]byte, step int) (next []session.Entry) {
	for _, e := range entries {
		switch r.IntN(5) {
		case 0:
			e.Until = e.From + 1 + r.Int64N(50)
		case 1:
			continue
		}
		next = append(next, e)
	}
	for i := range r.IntN(6) {
		e := session.Entry{VNI: 7, Source: own, From: r.Int64N(100), MAC: macs[r.IntN(len(macs))], Learned: true}
		if r.IntN(2) == 0 {
			e.Until = e.From + 1 + r.Int64N(50)
		}
		if r.IntN(4) == 0 {
			e.VNI = 8
		}
		e.Name = fmt.Sprintf("task-%d-%d", step, i)
		e.Workload.InterfaceID = e.Name
		next = append(next, e)
	}
	return next
}

// Workers look up while tenures end, others begin, and strangers become known: what
// is known all the time is found all the time, what takes turns is one of the two,
// and whoever ended has become somebody or is gone from the table for good.
func TestLearnUnderLoad(t *testing.T) {
	var table *session.Table
	begin := time.Now().UnixNano()
	table = newTable(t, session.Config{Workers: 2, UnknownMax: 8, BySource: 8, Stranger: func(s *packet.Session) {
		if s.Known || s.Ended.Load() && s.Identified() == s {
			t.Errorf("told %+v", s)
		}
	}})
	always := learnt("always", macA, 0, 0)
	always.VNI = 1
	var done atomic.Bool
	var wg sync.WaitGroup
	table.Learn([]session.Entry{always})
	for range 2 {
		wg.Go(func() {
			for n := int64(0); !done.Load(); n++ {
				f := sent(begin+n, macA)
				f.VNI = 1
				if s, _ := table.Lookup(f); s == nil || s.Name != "always" {
					t.Errorf("found %+v", s)
					return
				}
				mac := [][6]byte{macA, macB}[n%2]
				s, _ := table.Lookup(sent(begin, mac))
				if s == nil || s.ByMAC && s.MAC != mac {
					t.Errorf("of %x: found %+v", mac, s)
					return
				}
				if next := s.Identified(); next.VNI != 7 || next.ByMAC && next.MAC != mac {
					t.Errorf("of %x: became %+v", mac, next)
					return
				}
			}
		})
	}
	a, b := learnt("a", macA, begin-10, 0), learnt("b", macB, begin-10, 0)
	ended := a
	ended.Until = begin
	for i := range 300 {
		table.Learn([][]session.Entry{{always}, {always, a}, {always, ended, b}, {always, a, b}}[i%4])
		for _, s := range table.Sessions() {
			if s.Ended.Load() || s.Identified() != s {
				t.Errorf("%s is live, ended, or another", s.Name)
			}
		}
	}
	done.Store(true)
	wg.Wait()
	if n := len(table.Sessions()); n > 3+2*8 {
		t.Errorf("%d sessions", n)
	}
}

// Who sees that a session ended sees what it became.
func TestBecomesBeforeItEnds(t *testing.T) {
	table, _ := strangers(t, 1)
	for i := range 200 {
		now := time.Now().UnixNano()
		s, _ := table.Lookup(sent(now, macA))
		var wg sync.WaitGroup
		wg.Go(func() {
			for !s.Ended.Load() {
				runtime.Gosched()
			}
			if s.Identified() == s {
				t.Error("it ended, and became nobody")
			}
		})
		table.Learn([]session.Entry{learnt(fmt.Sprint(i), macA, now, 0)})
		wg.Wait()
		table.Learn(nil)
	}
}

// A hundred sessions a second begin, are strangers at first, and end.
func TestChurnKeepsMemoryFlat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, told := strangers(t, 256)
		var entries []session.Entry
		var start int64
		for second := range 60 {
			now := time.Now().UnixNano()
			for n := range 100 {
				id := 100*second + n
				mac := [6]byte{2, 0, 0, byte(id >> 16), byte(id >> 8), byte(id)}
				f := sent(now, mac)
				f.Source = packet.AddrFrom4([4]byte{10, 0, 0, byte(n)})
				copy(f.Data[26:], f.Source[12:])
				s, _ := table.Lookup(f)
				if s.Known || s.MAC != mac {
					t.Fatalf("second %d: found %+v", second, s)
				}
				e := learnt(fmt.Sprint(id), mac, now, 0)
				e.Source = f.Source
				entries = append(entries, e)
			}
			for i := range entries {
				if e := &entries[i]; e.Until == 0 && e.From <= now-int64(5*time.Second) {
					e.Until = now
				}
			}
			entries = slices.DeleteFunc(entries, func(e session.Entry) bool { return e.Until != 0 && e.Until < now-int64(10*time.Second) })
			table.Learn(entries)
			*told = nil
			time.Sleep(time.Second)
			if n := len(table.Sessions()); n > 1700 {
				t.Fatalf("second %d: %d sessions", second, n)
			}
			if second == 30 {
				start = heap()
			}
		}
		if grown := heap() - start; grown > 512<<10 {
			t.Errorf("grew by %d bytes", grown)
		}
	})
}
