package pcap

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/periscope-collector/periscope/sink"
	"github.com/periscope-collector/periscope/sink/dir"
)

var _ sink.Frames = (*Sink)(nil)

// A Sink writes frames to capture files. Its methods may be called from any
// goroutine, but for Offer, Mark and Close, whose rules sink.Frames states.
type Sink struct {
	replay  bool
	snap    int
	pool    *pool
	workers []worker

	ready   chan *chunk   // handed over; has room for every chunk
	wake    chan struct{} // the writer should not wait for its next round
	waiting atomic.Int32  // replay: workers that wait for a chunk
	closing chan struct{}
	aborted atomic.Bool // Close has run out of time
	done    chan struct{}

	rotate    atomic.Pointer[Rotate]
	retain    atomic.Pointer[Retain]
	tally     tally // the writer's
	gauges    gauges
	closeOnce sync.Once
	closeErr  error // set before done is closed
}

// Open locks the directory, finishes what an earlier process left in it and
// starts the sink. The error is a *dir.LockedError if another process has the
// directory.
func Open(c Config) (*Sink, error) {
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	if err := dir.Make(c.Dir); err != nil {
		return nil, fmt.Errorf("pcap: make the directory: %w", err)
	}
	lock, err := dir.TakeLock(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("pcap: %w", err)
	}
	if _, err := salvage(c.Dir, c.Log); err != nil {
		lock.Release()
		return nil, err
	}
	s := newSink(&c)
	go s.run(&c, lock)
	return s, nil
}

func newSink(c *Config) *Sink {
	p := newPool(c)
	snap := c.SnapLen
	if !c.Replay {
		snap = min(snap, liveSnap)
	}
	s := &Sink{
		replay:  c.Replay,
		snap:    snap,
		pool:    p,
		workers: make([]worker, c.Workers),
		ready:   make(chan *chunk, p.total),
		wake:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
	s.rotate.Store(&c.Rotate)
	s.retain.Store(&c.Retain)
	for i := range s.workers {
		w := &s.workers[i]
		w.id = i
		w.mark = math.MinInt64
		w.freed = make(chan struct{}, 1)
	}
	return s
}

// run owns the sink's goroutines: it starts them and ends when they have, in
// the order in which each feeds the next.
func (s *Sink) run(c *Config, lock *dir.Lock) {
	var keeper *retainer
	var wg sync.WaitGroup
	stop := make(chan struct{})
	if !c.Replay {
		keeper = newRetainer(s, c)
		wg.Go(func() { keeper.run(stop) })
	}
	completer := newCompleter(s, c, keeper)
	completed := make(chan error, 1)
	go func() { completed <- completer.run() }()
	w := newWriter(s, c, lock, completer.queue)
	if c.Sync > 0 {
		w.sync = make(chan []syncJob, 1)
		wg.Go(func() { syncFiles(w.sync, c.fdatasync, c.Log) })
	}
	wg.Go(func() { writeBack(w.writeback, s.closing) })

	w.run()
	close(completer.queue)
	close(w.writeback)
	if w.sync != nil {
		close(w.sync)
	}
	s.closeErr = <-completed
	close(stop)
	wg.Wait()
	lock.Release()
	close(s.done)
}

// Close writes what was offered, completes every file and unlocks the
// directory. When ctx is done first, it says so: files that are not complete
// keep the suffix .partial, frames that are not written stay pending, and the
// next Open finishes the files. It returns the error of a file that could not
// be completed.
func (s *Sink) Close(ctx context.Context) error {
	s.closeOnce.Do(func() {
		for i := range s.workers {
			w := &s.workers[i]
			if w.chunk != nil {
				s.handOver(w)
			}
			w.tally.publish(&w.counts)
		}
		close(s.closing)
	})
	select {
	case <-s.done:
		return s.closeErr
	case <-ctx.Done():
		s.aborted.Store(true)
		return fmt.Errorf("pcap: %w before all files were complete; the next start finishes them", ctx.Err())
	}
}

// Reconfigure changes rotation, from the next frame on, and retention. In
// replay retain is ignored.
func (s *Sink) Reconfigure(rotate Rotate, retain Retain) error {
	if err := rotate.check(); err != nil {
		return err
	}
	if err := retain.check(); err != nil {
		return err
	}
	s.rotate.Store(&rotate)
	s.retain.Store(&retain)
	return nil
}
