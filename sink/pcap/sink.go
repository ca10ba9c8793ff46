package pcap

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
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

// A worker is one worker's side of the sink.
type worker struct {
	// The worker's own.
	id      int
	chunk   *chunk // being filled; not empty, or nil
	left    bool   // a chunk was parked at the last Mark
	number  uint64 // of the next chunk
	refused uint64 // pool.returns when there was no chunk
	counts  counts

	_ [64]byte // apart from what others write

	freed chan struct{} // replay: chunks came back
	asked atomic.Bool   // the writer wants the chunk that is being filled
	tally tally

	// Each side has the lock for a moment: the worker twice a batch, the writer
	// once a round.
	mu     sync.Mutex
	mark   int64
	parked *chunk // begun, and whose it is between batches: the first to take it

	_ [64]byte
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
	wg.Go(func() { writeBack(w.writeback) })

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

// Offer copies f, cut to the snap length, for the writer. It allocates nothing,
// and takes a lock only when a chunk is full.
func (s *Sink) Offer(worker int, f *packet.Frame) {
	w := &s.workers[worker]
	data := f.Data
	if len(data) > s.snap {
		data = data[:s.snap]
	}
	if w.left {
		w.resume()
	}
	room := w.chunk.fits(f.Session, len(data)) || s.renew(w) && w.chunk.fits(f.Session, len(data))
	w.counts[countOffered]++ // after renew, which publishes the counters
	if !room {
		w.counts[countDropped+int(packet.DropQueueFull)]++
		return
	}
	w.chunk.add(f, data)
	w.counts[countIn]++
}

// renew hands the worker's chunk over and takes a free one. It reports whether
// there was one; in replay it waits for it.
//
// That wait ends. All workers that wait have handed over all they have, and what
// the others have the writer takes, or gets at their next Mark. So every entry
// of the worker with the lowest mark goes before anything that can still come
// from another, and the writer emits it. That worker then has its reserve again,
// whoever holds the rest of the pool, goes on, and its mark rises until another
// one is the lowest.
func (s *Sink) renew(w *worker) bool {
	if w.chunk != nil {
		s.handOver(w)
	}
	for {
		returns := s.pool.returns.Load()
		if returns == w.refused && !s.replay {
			return false // and no lock is taken for each frame that is dropped
		}
		if c := s.pool.take(w.id); c != nil {
			c.number = w.number
			w.number++
			w.chunk = c
			return true
		}
		w.refused = returns
		if !s.replay {
			return false
		}
		s.waiting.Add(1)
		s.rouse()
		<-w.freed
		s.waiting.Add(-1)
	}
}

// handOver gives the worker's chunk to the writer. It wakes the writer only
// when there is much to do; otherwise the next round finds the chunk.
func (s *Sink) handOver(w *worker) {
	c := w.chunk
	w.chunk = nil
	w.asked.Store(false)
	w.tally.publish(&w.counts)
	last := c.last
	s.ready <- c
	if s.replay {
		// In replay a worker's frames come in order, so the last one is a mark.
		w.mu.Lock()
		w.mark = max(w.mark, last)
		w.mu.Unlock()
	}
	if s.pool.scarce(2, 0) || s.waiting.Load() > 0 {
		s.rouse()
	}
}

// rouse has the writer begin a round at once.
func (s *Sink) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Mark publishes the worker's mark and counters, and parks its chunk. A worker
// that gets no more batches, for lack of traffic or because another one waits,
// does not hold back what is in it; one that gets the next before the writer
// comes fills it further.
func (s *Sink) Mark(worker int, mark, _ int64) {
	w := &s.workers[worker]
	if w.chunk != nil && w.asked.Load() {
		s.handOver(w)
	}
	w.tally.publish(&w.counts)
	w.mu.Lock()
	if w.chunk != nil {
		w.parked, w.chunk, w.left = w.chunk, nil, true
	}
	w.mark = mark
	w.mu.Unlock()
}

// resume takes the parked chunk back if the writer has not taken it. What is in
// it is not promised any more.
func (w *worker) resume() {
	w.mu.Lock()
	if w.chunk, w.parked = w.parked, nil; w.chunk != nil {
		w.mark = min(w.mark, w.chunk.lowest)
	}
	w.mu.Unlock()
	w.left = false
}

// yield returns the worker's mark and what it has parked: nothing below the
// mark is anywhere but there, in the queue of chunks, or with the writer.
func (w *worker) yield() (mark int64, parked *chunk) {
	w.mu.Lock()
	mark, parked, w.parked = w.mark, w.parked, nil
	w.mu.Unlock()
	if parked != nil {
		w.asked.Store(false)
	}
	return mark, parked
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
