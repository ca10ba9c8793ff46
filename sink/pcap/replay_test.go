package pcap_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

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
	// With reserves alone, and with 8 chunks or 9 to be shared.
	for _, c := range []struct{ workers, buffer int }{{1, 1}, {2, 1}, {8, 1}, {2, 4 << 20}, {8, 8 << 20}} {
		workers, dir := c.workers, t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Workers: workers, Replay: true, Buffer: int64(c.buffer), Rotate: rotate, OpenFiles: 2})
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
