package flowlog_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/flowlog"
)

// A batch of a replay: what comes of each shard, in order.
type batch struct {
	records []*packet.Flow // by shard
	cut     *packet.Cut
}

// batches returns some 40 minutes of traffic of five sessions, one of them quiet
// for a while, in all shards.
func batches() (all []batch, sessions []*packet.Session, records uint64) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range uint32(5) {
		sessions = append(sessions, newSession(i+1, string('a'+rune(i)), string('1'+rune(i%2))))
	}
	sessions[4].Known = false
	for i := range int64(400) {
		var b batch
		now := base + i*6*second
		for range random.IntN(60) {
			s := sessions[random.IntN(len(sessions))]
			if s == sessions[3] && i%100 < 50 {
				continue
			}
			r := flow(s, now+random.Int64N(6*second), uint16(random.IntN(1<<16)))
			r.Shard = uint8(random.IntN(packet.Shards))
			b.records = append(b.records, r)
			records++
		}
		slices.SortStableFunc(b.records, func(x, y *packet.Flow) int { return int(x.Shard) - int(y.Shard) })
		if i%10 == 9 {
			b.cut = &packet.Cut{Begin: base + i/10*minute, End: base + (i/10+1)*minute}
		}
		all = append(all, b)
	}
	return all, sessions, records
}

func TestReplayIsTheSameForAnyNumberOfWorkers(t *testing.T) {
	all, sessions, records := batches()
	for _, format := range []flowlog.Format{flowlog.Text, flowlog.JSON} {
		var want map[string]string
		for _, workers := range []int{1, 2, 8} {
			dir := t.TempDir()
			s := open(t, flowlog.Config{
				Dir: dir, Workers: workers, Replay: true, Buffer: 1, Format: format, OpenFiles: 3,
				Sessions: func() []*packet.Session { return sessions },
			})
			queues := make([]chan *batch, workers)
			var wg sync.WaitGroup
			for w := range queues {
				queues[w] = make(chan *batch, 2)
				wg.Go(func() {
					for b := range queues[w] {
						for _, r := range b.records {
							if int(r.Shard)%workers == w {
								s.Flow(w, r)
							}
						}
						if b.cut != nil {
							s.Cut(w, *b.cut)
						}
						s.Mark(w, 0, 0)
					}
				})
			}
			for i := range all {
				for _, q := range queues {
					q <- &all[i]
				}
				if l := s.Ledger(); l.Imbalance() != 0 {
					t.Errorf("%+v", l)
				}
			}
			for _, q := range queues {
				close(q)
			}
			wg.Wait()
			s.Settle(t.Context())
			s.Flow(0, flow(sessions[0], base+41*minute, 1))
			s.Cut(0, packet.Cut{Begin: base + 41*minute, End: base + 41*minute + second, Last: true})
			finish(t, s)
			if l := s.Ledger(); l.Stored != records+1 {
				t.Errorf("%d workers: %+v, want %d stored", workers, l, records+1)
			}
			got := tree(t, dir)
			if want == nil {
				want = got
				if text := strings.Join(lines(t, dir), ""); !strings.Contains(text, "NODATA") || len(got) < 18 {
					t.Errorf("%d files", len(got))
				}
			} else if !maps.Equal(got, want) {
				t.Errorf("%s: %d workers: other files than with one:\n%q\n%q", format, workers, names(got), names(want))
			}
		}
	}
}
