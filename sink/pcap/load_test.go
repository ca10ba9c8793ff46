package pcap_test

import (
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// The ledger balances whenever it is read.
func TestLedgerWhileRunning(t *testing.T) {
	s := open(t, pcap.Config{Dir: t.TempDir(), Workers: 2, Buffer: 1})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			f := frame(session0, 0, 200)
			for i := int64(0); ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				now := time.Now().UnixNano()
				for range 64 {
					f.Order = now
					s.Offer(w, f)
				}
				s.Mark(w, now, now)
			}
		})
	}
	for range 20_000 {
		if l := s.Ledger(); l.Imbalance() != 0 || l.Pending > l.Offered {
			t.Errorf("%+v is off by %d", l, l.Imbalance())
			break
		}
	}
	waitFor(t, func() bool { return s.Ledger().Stored > 0 })
	close(stop)
	wg.Wait()
	finish(t, s)
}

var session0 = &packet.Session{ID: 1 << 31, Name: "s0"}

func TestHostileOrderIsNotQuadratic(t *testing.T) {
	dir := t.TempDir()
	s := open(t, pcap.Config{Dir: dir, Workers: 1})
	ses := session("s")
	const n = 200_000 // with quadratic steps in all frames, this would take minutes
	for i := range int64(n) {
		s.Offer(0, frame(ses, n-i, 8))
	}
	finish(t, s)
	if got := len(only(t, dir)); uint64(got) != s.Ledger().Stored {
		t.Errorf("%d frames in the file, ledger %+v", got, s.Ledger())
	}
}

func TestOfferDoesNotAllocate(t *testing.T) {
	s := open(t, pcap.Config{Dir: t.TempDir(), Workers: 1, Rotate: pcap.Rotate{Size: 1 << 40}})
	ses := session("s")
	f := frame(ses, 0, 700)
	var order int64
	batch := func() {
		for range 64 {
			order++
			f.Order = order
			s.Offer(0, f)
		}
		s.Mark(0, order, order*1e6)
	}
	for range 2000 { // the writer's lists grow to their size
		batch()
	}
	if n := testing.AllocsPerRun(2000, batch); n != 0 {
		t.Errorf("%v allocations a batch, want 0", n)
	}
	finish(t, s)
}
