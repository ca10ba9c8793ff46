package session

import (
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// What the hot path asks must be answered while every lock is held: where it
// waited for one, this test would never end.
func TestHotPathTakesNoLock(t *testing.T) {
	source := packet.AddrFrom4([4]byte{10, 0, 0, 1})
	table := New(Config{Workers: 1, UnknownMax: 1, Log: slog.New(slog.DiscardHandler)})
	table.Replace([]Entry{{Name: "any", VNI: 1}, {Name: "one", VNI: 2, Source: source}})
	unknown, _ := table.Lookup(&packet.Frame{VNI: 3, Source: source})
	announcer := NewAnnouncer(slog.New(slog.DiscardHandler))
	frame := packet.Frame{Session: unknown, Length: 1}
	announcer.Saw(&frame)

	table.mu.Lock()
	table.reload.Lock()
	announcer.senders.mu.Lock()
	announcer.cuts.mu.Lock()
	for vni, want := range map[uint32]packet.Reason{
		1: packet.None, 2: packet.None, 3: packet.None, 4: packet.UnknownLimit,
	} {
		if _, r := table.Lookup(&packet.Frame{VNI: vni, Source: source}); r != want {
			t.Errorf("vni %d: %v, want %v", vni, r, want)
		}
	}
	announcer.Saw(&frame)
	announcer.senders.full.Store(true)
	announcer.cuts.full.Store(true)
	announcer.Saw(&packet.Frame{Session: &packet.Session{ID: 99}, Length: 1})
}

// A worker that still has the view from before a swap does not find a session that
// takes the frames of whoever has the source: a swap has asked when its last one came.
// It gets the session of the new view, also where the old one was full.
func TestRetiredViewIsAskedAgain(t *testing.T) {
	table := New(Config{Workers: 1, UnknownMax: 1, BySource: 1, Log: slog.New(slog.DiscardHandler)})
	source := packet.AddrFrom4([4]byte{10, 0, 0, 1})
	now := time.Now().UnixNano()
	frame := &packet.Frame{VNI: 7, Source: source, Time: now}
	s, _ := table.Lookup(frame)
	table.Lookup(&packet.Frame{VNI: 8, Time: now}) // no room is left
	old := table.view.Load()
	if old.find(frame) != s || old.refusal(frame) != packet.UnknownLimit {
		t.Fatal("this shows nothing")
	}
	table.Learn(nil)
	if got := old.find(frame); got != nil {
		t.Errorf("the old view has %s", got.Name)
	}
	if r := old.refusal(frame); r != packet.None {
		t.Errorf("the old view says %v", r)
	}
	if got, r := table.Lookup(frame); got != s || r != packet.None {
		t.Errorf("the new view has %v, %v", got, r)
	}
}

// Of any number of goroutines, and whatever their order, the latest time stays.
func TestRaise(t *testing.T) {
	var last atomic.Int64
	var wg sync.WaitGroup
	for w := range int64(4) {
		wg.Go(func() {
			for i := range int64(20_000) {
				raise(&last, 4*i+w)
				if now := last.Load(); now < 4*i+w {
					t.Errorf("%d behind %d", now, 4*i+w)
					return
				}
			}
		})
	}
	wg.Wait()
	if last.Load() != 4*20_000-1 {
		t.Error(last.Load())
	}
}

// Two IPv6 sources whose hashes are equal share a key, and no more.
func TestIndexComparesIPv6(t *testing.T) {
	a := &packet.Session{Source: packet.Addr{0: 0xfd, 15: 1}}
	b := &packet.Session{Source: packet.Addr{0: 0xfd, 15: 2}}
	other := packet.Addr{0: 0xfd, 15: 3}
	x := newIndex(2)
	key := x.sourceKey(7, &a.Source)
	x.add(key, a, true)
	x.add(key, b, true)
	if x.find(key, &a.Source) != a || x.find(key, &b.Source) != b || x.find(key, &other) != nil {
		t.Errorf("found %v, %v, %v", x.find(key, &a.Source), x.find(key, &b.Source), x.find(key, &other))
	}
}

// What is forgotten is counted on, every counter of it.
func TestAddTally(t *testing.T) {
	var sum, one packet.Tally
	each := func(tally *packet.Tally, do func(name string, n any)) {
		v := reflect.ValueOf(tally).Elem()
		for i := range v.NumField() {
			if name, field := v.Type().Field(i).Name, v.Field(i); field.Kind() == reflect.Array {
				for d := range field.Len() {
					do(name, field.Index(d).Addr().Interface())
				}
			} else if v.Type().Field(i).IsExported() {
				do(name, field.Addr().Interface())
			}
		}
	}
	each(&one, func(_ string, n any) {
		switch n := n.(type) {
		case *atomic.Uint64:
			n.Store(1)
		case *atomic.Int64:
			n.Store(1)
		}
	})
	addTally(&sum, &one)
	each(&sum, func(name string, n any) {
		switch n := n.(type) {
		case *atomic.Uint64:
			if n.Load() != 1 {
				t.Errorf("%s is not added", name)
			}
		case *atomic.Int64:
			if n.Load() != 1 {
				t.Errorf("%s is not added", name)
			}
		}
	})
}
