package pcap_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
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

// A mark that a worker published while it still held frames must not let later
// ones of others pass those.
func TestMarkWaitsForHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Workers: 2})
		ses, now := session("s"), time.Now().UnixNano()
		s.Mark(0, now, now)
		s.Offer(0, frame(ses, now+1, 60))
		s.Mark(0, now+100, now+1000) // too young to be handed over
		s.Offer(1, frame(ses, now+50, 60))
		s.Mark(1, now+100, now+100)
		s.Mark(1, now+100, now+3e7)
		time.Sleep(40 * time.Millisecond)
		synctest.Wait()
		if l := s.Ledger(); l.Stored != 0 || l.Pending != 2 {
			t.Errorf("%+v, want both pending", l)
		}
		finish(t, s)
		if got := only(t, dir); !slices.Equal(got, []int64{now + 1, now + 50}) || s.Ledger().Late != 0 {
			t.Errorf("written %v, late %d", got, s.Ledger().Late)
		}
	})
}

// One worker says nothing for ever. The others' frames are written all the
// same, and what finds no chunk is dropped and counted.
func TestStuckWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Workers: 2, Buffer: 1}) // two chunks each
		ses, now := session("s"), time.Now().UnixNano()
		s.Mark(1, now-1e9, now)
		const perChunk = 2048
		// Within one instant, three chunks' worth: the writer, which would have
		// to wait for worker 1, gives way instead.
		for i := range int64(3 * perChunk) {
			s.Offer(0, frame(ses, now+i, 60))
			if i%perChunk == perChunk-1 {
				s.Mark(0, now+i, now)
				synctest.Wait()
			}
		}
		if l := s.Ledger(); l.Dropped[packet.DropQueueFull] != 0 || l.Imbalance() != 0 {
			t.Errorf("%+v, want nothing dropped", l)
		}
		// Without a moment for the writer, two chunks take what they hold.
		for i := range int64(4 * perChunk) {
			s.Offer(0, frame(ses, now+1e6+i, 60))
		}
		s.Mark(0, now+1e7, now)
		l := s.Ledger()
		if l.Offered != 7*perChunk || l.Dropped[packet.DropQueueFull]+l.Stored+l.Pending != l.Offered {
			t.Errorf("%+v", l)
		}
		finish(t, s)
		if l := s.Ledger(); uint64(len(only(t, dir))) != l.Stored {
			t.Errorf("%d frames in the file, ledger %+v", len(only(t, dir)), l)
		}
	})
}

func TestReplayIsTheSameForAnyNumberOfWorkers(t *testing.T) {
	const n = 20_000
	sessions := []*packet.Session{session("a"), session("b"), session("c")}
	random := rand.New(rand.NewPCG(1, 2))
	frames := make([]*packet.Frame, n)
	for i := range frames {
		frames[i] = frame(sessions[random.IntN(3)], int64(i), random.IntN(1500))
		frames[i].Time = base + int64(i)*1e6 + random.Int64N(5e6) // not in order
	}
	flow := make([]int, n)
	for i := range flow {
		flow[i] = random.IntN(1000)
	}
	rotate := pcap.Rotate{Size: 1 << 20, Every: 3 * time.Second, Packets: 3000}
	var want map[string]string
	for _, workers := range []int{1, 2, 8} {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Workers: workers, Replay: true, Buffer: 1, Rotate: rotate, OpenFiles: 2})
		queues := make([]chan [2]int, workers)
		var wg sync.WaitGroup
		for w := range queues {
			queues[w] = make(chan [2]int, 2)
			wg.Go(func() {
				for b := range queues[w] {
					for i := b[0]; i < b[1]; i++ {
						if flow[i]%workers == w {
							s.Offer(w, frames[i])
						}
					}
					s.Mark(w, int64(b[1]), 0)
				}
			})
		}
		for i := 0; i < n; i += 256 {
			for _, q := range queues {
				q <- [2]int{i, min(n, i+256)}
			}
		}
		for _, q := range queues {
			close(q)
		}
		wg.Wait()
		finish(t, s)
		if l := s.Ledger(); l.Stored != n || l.Late != 0 {
			t.Errorf("%d workers: %+v", workers, l)
		}
		got := tree(t, dir)
		if want == nil {
			want = got
		}
		if len(got) < 6 || !maps.Equal(got, want) {
			t.Errorf("%d workers: files %q differ from those of one worker, %q", workers, names(got), names(want))
		}
	}
	var total int
	for _, content := range want {
		total += len(read(t, content))
	}
	if total != n {
		t.Errorf("%d frames in the files, want %d", total, n)
	}
}

// Batches that hold more than all chunks of a worker do not stop a replay.
func TestReplayBatchBeyondBuffer(t *testing.T) {
	dir := t.TempDir()
	s := open(t, pcap.Config{Dir: dir, Workers: 2, Replay: true, Buffer: 1})
	ses := session("s")
	const n = 5 * 2048
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := int64(w); i < 2*n; i += 2 {
				s.Offer(w, frame(ses, i, 600))
			}
			s.Mark(w, 2*n, 0)
		})
	}
	wg.Wait()
	finish(t, s)
	got := only(t, dir)
	if len(got) != 2*n || !slices.IsSorted(got) || s.Ledger().Stored != 2*n {
		t.Errorf("%d frames in the file, ledger %+v", len(got), s.Ledger())
	}
}
