package pcap

import (
	"sync"
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
)

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
