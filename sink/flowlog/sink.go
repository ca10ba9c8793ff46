package flowlog

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink"
	"github.com/periscope-collector/periscope/sink/dir"
	"github.com/periscope-collector/periscope/sink/queue"
)

var _ sink.Flows = (*Sink)(nil)

// A Sink writes flow-log files. Its methods may be called from any goroutine,
// but for those of sink.Flows, whose rules that states.
type Sink struct {
	queue   *queue.Queue[packet.Flow]
	workers []worker
	settled bool // the workers have ended; one goroutine gives the rest

	aborted   atomic.Bool // Close has run out of time
	closeOnce sync.Once
	done      chan struct{}
	closeErr  error // set before done is closed

	shown    shown
	progress atomic.Uint64
	files    filesDone
}

// A worker is one worker's side of the sink.
type worker struct {
	// The worker's own: the latest cut, if there was no room for it.
	cut     packet.Cut
	cutWait bool

	offered, dropped atomic.Uint64 // records

	mu     sync.Mutex // of misses, which only a worker without room touches
	misses misses

	_ [64]byte // apart from other workers
}

// Open locks the directory, finishes what an earlier process left in it and
// starts the sink. The error is a *dir.LockedError if another process has the
// directory.
func Open(c Config) (*Sink, error) {
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	if err := dir.Make(c.Dir); err != nil {
		return nil, fmt.Errorf("flowlog: make the directory: %w", err)
	}
	lock, err := dir.TakeLock(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("flowlog: %w", err)
	}
	left, err := salvage(c.Dir, c.Log)
	if err != nil {
		lock.Release()
		return nil, err
	}
	s := &Sink{
		queue: queue.New[packet.Flow](queue.Config{
			Workers: c.Workers, Bytes: c.Buffer, Replay: c.Replay,
		}),
		workers: make([]worker, c.Workers),
		done:    make(chan struct{}),
	}
	s.files.salvaged.Store(uint64(left.finished + left.cut))
	go s.run(&c, lock)
	return s, nil
}

// run owns the sink's goroutines: itself, which is the writer, and the completer
// that it feeds.
func (s *Sink) run(c *Config, lock *dir.Lock) {
	completer := newCompleter(s, c)
	completed := make(chan error, 1)
	go func() { completed <- completer.run() }()
	newWriter(s, c, lock, completer.queue).run()
	close(completer.queue)
	s.closeErr = <-completed
	lock.Release()
	close(s.done)
}

// Flow copies r for the writer.
func (s *Sink) Flow(worker int, r *packet.Flow) {
	w := &s.workers[worker]
	w.offered.Add(1) // before the writer can count it
	if s.queue.Put(worker, r.Shard, r) {
		return
	}
	w.dropped.Add(1)
	w.mu.Lock()
	w.misses.add(miss{r.Session, r.Begin, r.End})
	w.mu.Unlock()
}

// lastShard is what a cut travels as, behind the records of every shard.
const lastShard = math.MaxUint8

// Cut passes c on behind the worker's records. If there is no room for it the
// next Mark does; a later cut says all that an earlier one does. Once the
// traffic has ended every cut goes the way of worker 0's records, so that they
// are read in the order in which they came.
func (s *Sink) Cut(worker int, c packet.Cut) {
	w, by := &s.workers[worker], worker
	if s.settled {
		by = 0
	}
	item := cutItem(worker, c)
	w.cut, w.cutWait = c, !s.queue.Put(by, lastShard, &item)
}

// Mark ends a batch of the worker's.
func (s *Sink) Mark(worker int, _, now int64) {
	if w := &s.workers[worker]; w.cutWait {
		s.Cut(worker, w.cut)
	}
	s.queue.Mark(worker, now)
}

// Settle says that the traffic has ended.
func (s *Sink) Settle(ctx context.Context) {
	s.settled = true
	s.queue.Settle(ctx)
}

// Close writes what was offered, completes every file and unlocks the
// directory. When ctx is done first, it says so: files that are not complete
// keep the suffix .partial, records that are not written stay pending, and the
// next Open finishes the files. It returns the error of a file that could not
// be completed.
func (s *Sink) Close(ctx context.Context) error {
	s.closeOnce.Do(s.queue.Close)
	select {
	case <-s.done:
		return s.closeErr
	case <-ctx.Done():
		s.aborted.Store(true)
		return fmt.Errorf("flowlog: %w before all files were complete; the next start finishes them", ctx.Err())
	}
}

// cutItem returns c as it travels through the queue: a record without a session,
// which no other is, so that every item is a record and none is wrapped.
func cutItem(worker int, c packet.Cut) packet.Flow {
	r := packet.Flow{Begin: c.Begin, End: c.End, Port: [2]uint16{uint16(worker)}}
	if c.Last {
		r.Reason = packet.FlowShutdown
	}
	return r
}

// asCut takes apart what cutItem made.
func asCut(r *packet.Flow) (worker int, c packet.Cut, ok bool) {
	if r.Session != nil {
		return 0, packet.Cut{}, false
	}
	return int(r.Port[0]), packet.Cut{Begin: r.Begin, End: r.End, Last: r.Reason == packet.FlowShutdown}, true
}
