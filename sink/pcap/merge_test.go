package pcap_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// only returns the orders in the one file of the tree.
func only(t *testing.T, dir string) []int64 {
	t.Helper()
	files := tree(t, dir)
	if len(files) != 1 {
		t.Fatalf("files %q, want one", names(files))
	}
	for _, content := range files {
		return orders(t, content)
	}
	return nil
}

func TestLiveMergesWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Workers: 3})
		ses, now := session("s"), time.Now().UnixNano()
		at := func(n int64) int64 { return now + n }
		// Worker 1's frames are out of order, as those of several sockets are.
		for worker, ns := range [][]int64{{0, 3, 9}, {8, 1, 7}, {2, 6}} {
			for _, n := range ns {
				s.Offer(worker, frame(ses, at(n), 60))
			}
		}
		// Worker 2 lags: its mark is 5, so 6 and later wait for the window.
		for worker, mark := range []int64{at(10), at(10), at(5)} {
			s.Mark(worker, mark, now)
			s.Mark(worker, mark, now+2e7)
		}
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if l := s.Ledger(); l.Stored != 4 || l.Pending != 4 || l.Imbalance() != 0 {
			t.Errorf("below the lowest mark: %+v", l)
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if l := s.Ledger(); l.Stored != 8 || l.Late != 0 {
			t.Errorf("after the window: %+v", l)
		}
		s.Offer(0, frame(ses, at(4), 60)) // after 9 was written
		finish(t, s)
		var got []int64
		for _, o := range only(t, dir) {
			got = append(got, o-now)
		}
		if want := []int64{0, 1, 2, 3, 6, 7, 8, 9, 4}; !slices.Equal(got, want) {
			t.Errorf("written %v, want %v", got, want)
		}
		if l := s.Ledger(); l.Late != 1 {
			t.Errorf("late %d, want 1", l.Late)
		}
	})
}

// Equal orders go by worker, and within a worker as they were offered.
func TestEqualOrders(t *testing.T) {
	dir := t.TempDir()
	s := open(t, pcap.Config{Dir: dir, Workers: 3, Replay: true})
	ses := session("s")
	for worker := range 3 {
		for i := range 100 {
			f := frame(ses, 5, 60)
			f.Data[8], f.Data[9] = byte(worker), byte(i)
			s.Offer(worker, f)
		}
	}
	finish(t, s)
	var got, want []string
	for _, content := range tree(t, dir) {
		for _, r := range read(t, content) {
			got = append(got, fmt.Sprint(r.data[8], r.data[9]))
		}
	}
	for worker := range 3 {
		for i := range 100 {
			want = append(want, fmt.Sprint(worker, i))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("written %v", got)
	}
}

// A mark that a worker published must not let later frames of others pass those
// that it went on to hold. What the writer does not find it gets at the end of
// the batch.
func TestMarkWaitsForHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Workers: 2})
		ses, now := session("s"), time.Now().UnixNano()
		s.Offer(0, frame(ses, now+1, 60))
		s.Mark(0, now+100, now)
		s.Offer(0, frame(ses, now+110, 60)) // in the same chunk, before the writer came
		s.Offer(1, frame(ses, now+50, 60))
		s.Mark(1, now+200, now)
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if l := s.Ledger(); l.Stored != 0 || l.Pending != 2 {
			t.Errorf("%+v, want both that are accounted for pending", l)
		}
		s.Mark(0, now+200, now)
		s.Offer(0, frame(ses, now+210, 60)) // again before the writer came
		time.Sleep(30 * time.Millisecond)
		synctest.Wait()
		if l := s.Ledger(); l.Stored != 3 {
			t.Errorf("%+v, want all of the batch before stored", l)
		}
		finish(t, s)
		if got := only(t, dir); !slices.Equal(got, []int64{now + 1, now + 50, now + 110, now + 210}) || s.Ledger().Late != 0 {
			t.Errorf("written %v, late %d", got, s.Ledger().Late)
		}
	})
}

// One worker says nothing for ever. The others' frames are written all the
// same, and what finds no chunk is dropped and counted.
func TestStuckWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		// Eight chunks: two for each worker, and four for either.
		s := open(t, pcap.Config{Dir: dir, Workers: 2, Buffer: 1})
		ses, now := session("s"), time.Now().UnixNano()
		s.Mark(1, now-1e9, now)
		const perChunk = 512
		// Within one instant, more than all chunks hold: the writer, which would
		// have to wait for worker 1, gives way instead.
		for i := range int64(20 * perChunk) {
			s.Offer(0, frame(ses, now+i, 60))
			if i%perChunk == perChunk-1 {
				s.Mark(0, now+i, now)
				synctest.Wait()
			}
			if l := s.Ledger(); i == 3*perChunk && l.Stored != 0 {
				t.Errorf("%+v, want nothing stored while there is room", l)
			}
		}
		if l := s.Ledger(); l.Dropped[packet.DropQueueFull] != 0 || l.Stored == 0 || l.Imbalance() != 0 {
			t.Errorf("%+v, want nothing dropped", l)
		}
		// Without a moment for the writer, the chunks take what they hold.
		for i := range int64(20 * perChunk) {
			s.Offer(0, frame(ses, now+1e6+i, 60))
		}
		s.Mark(0, now+1e7, now)
		l := s.Ledger()
		if l.Offered != 40*perChunk || l.Dropped[packet.DropQueueFull]+l.Stored+l.Pending != l.Offered {
			t.Errorf("%+v", l)
		}
		finish(t, s)
		if l := s.Ledger(); uint64(len(only(t, dir))) != l.Stored {
			t.Errorf("%d frames in the file, ledger %+v", len(only(t, dir)), l)
		}
	})
}

// When the clock is set back, frames from before seem to be of the future. They
// are written in time, and those that follow do not count as late.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Workers: 2})
		ses := session("s")
		offer := func(worker int, ahead time.Duration) (order int64) {
			now := time.Now().UnixNano()
			order = now + int64(ahead)
			s.Offer(worker, frame(ses, order, 60))
			for w := range 2 {
				s.Mark(w, order+1, now)
				s.Mark(w, order+1, now+3e7)
			}
			return order
		}
		want := []int64{offer(0, time.Hour)}
		s.Mark(1, time.Now().UnixNano(), time.Now().UnixNano()) // the first to know
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		if l := s.Ledger(); l.Stored != 1 {
			t.Errorf("%+v, want the frame from before written", l)
		}
		for i := range 10 {
			want = append(want, offer(i%2, 0))
			time.Sleep(50 * time.Millisecond)
		}
		synctest.Wait()
		if l := s.Ledger(); l.Stored != 11 || l.Late != 0 {
			t.Errorf("%+v, want 11 stored and none late", l)
		}
		late := want[5]
		s.Offer(0, frame(ses, late, 60)) // as ever
		finish(t, s)
		if l := s.Ledger(); l.Late != 1 {
			t.Errorf("%+v, want 1 late", l)
		}
		if got := only(t, dir); !slices.Equal(got, append(want, late)) {
			t.Errorf("written %v", got)
		}
	})
}

// With many workers and little memory order is kept all the same: a chunk of
// every worker, each with one frame, is no reason to go beyond the marks.
func TestManyWorkersLittleMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 192
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Workers: workers, Buffer: 4 << 20})
		ses, now := session("s"), time.Now().UnixNano()
		for round := range int64(2) {
			for w := workers - 1; w >= 0; w-- {
				s.Offer(w, frame(ses, now+int64(w)*2+round, 60))
				s.Mark(w, now, now)
				s.Mark(w, now, now+3e7)
			}
			time.Sleep(25 * time.Millisecond)
			synctest.Wait()
		}
		if l := s.Ledger(); l.Stored != 0 || l.Pending != 2*workers {
			t.Errorf("%+v, want all to wait for the marks", l)
		}
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		if l := s.Ledger(); l.Stored != 2*workers || l.Late != 0 {
			t.Errorf("%+v", l)
		}
		finish(t, s)
	})
}
