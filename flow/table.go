package flow

import (
	"github.com/periscope-collector/periscope/packet"
)

// A Table accounts for frames by flow. Add and Done may be called by different
// workers at once, but not for one worker.
type Table struct {
	config  Config
	workers []*worker
	shards  []*shard
}

// New returns an empty table.
func New(c Config) (*Table, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	t := &Table{config: c}
	hasher := newHasher(c.Seed)
	for i := range c.Workers {
		t.workers = append(t.workers, newWorker(&t.config, i))
	}
	for i := range c.Shards {
		w := t.workers[i%c.Workers]
		s := newShard(w, uint8(i), c.share(), hasher)
		s.local = uint8(len(w.shards))
		w.shards = append(w.shards, s)
		t.shards = append(t.shards, s)
	}
	for _, w := range t.workers {
		w.prepare()
	}
	return t, nil
}

// Add takes a delivered frame of worker's, decoded and with its session. The
// frame and its bytes stay as they are until Done returns; one that has a
// Reason by then is left out.
func (t *Table) Add(worker int, f *packet.Frame) {
	w := t.workers[worker]
	switch {
	case f.Session == nil:
	case f.Header.Version == 0:
		w.notIP(f)
	default:
		w.stage(f)
	}
}

// Done accounts for the frames that were added since the last call, and brings
// the clock. It emits records in ascending order of shards.
func (t *Table) Done(worker int, b *packet.Batch) {
	w := t.workers[worker]
	w.begin(b)
	w.sort()
	if step := w.step(b.Now); step.due {
		for n, s := range w.shards {
			w.account(int(w.ends[n]))
			s.advance(&step)
		}
		w.finish(&step)
	}
	w.account(len(w.order))
	for _, s := range w.shards {
		s.origins.flush(w.number)
	}
	w.staged = w.staged[:0]
	w.publish()
}

// Close emits what is left, all as worker 0's, after the last Done. It is called
// once, when no other call but Stats can come.
func (t *Table) Close() {
	var clock int64
	for _, s := range t.shards {
		clock = max(clock, s.worker.clock)
		s.worker.number = 0
		s.close()
		s.origins.flush(0)
	}
	for i, w := range t.workers {
		w.number = i
		w.close()
		w.publish()
	}
	last := packet.Cut{Last: true}
	if clock != 0 {
		last.Begin = clock - clock%int64(t.config.Interval)
		last.End = last.Begin + int64(t.config.Interval)
	}
	t.config.Cut(0, last)
}
