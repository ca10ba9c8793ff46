// Package queue carries items from workers to the one goroutine of a sink that
// reads them. Items are copied into chunks, and only chunks are handed over, so
// that an item costs a copy and a chunk of them one send on a channel.
//
// The queue owns the memory and bounds it. Live a worker that finds no room is
// told so and goes on; in replay it waits, and the reader gets the items in an
// order that does not depend on the number of workers: by batch, and within it
// by shard.
package queue

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	// chunkLen is how many items a chunk has room for.
	chunkLen = 256

	// chunksLeast is how many chunks a worker has at least: one to fill and one
	// that is read.
	chunksLeast = 2

	// handOverAge is how long an item stays with a live worker that does not
	// fill its chunk, in nanoseconds of the worker's clock.
	handOverAge = int64(100 * time.Millisecond)
)

// A Config says how large a queue is.
type Config struct {
	Workers int

	// Bytes bounds the memory of the items, shared out evenly; each worker has
	// room for 512 items at least. Memory is taken as it is needed, and kept.
	Bytes int64

	// Replay makes workers wait for room, and orders the items.
	Replay bool
}

// Hold has Drain leave an item, and what is behind it, in the queue as long as
// hold reports true of it, every worker has half its room left, and the queue is
// not closed. The reader sets it before it first calls Drain.
func (q *Queue[T]) Hold(hold func(*T) bool) { q.hold = hold }

// A Queue carries items of type T. Put and Mark of one worker are called by one
// goroutine at a time, Ready and Drain by the reader.
type Queue[T any] struct {
	replay  bool
	workers []worker[T]
	ready   chan *chunk[T] // handed over; has room for every chunk
	wake    chan struct{}
	closed  atomic.Bool

	// After Settle.
	settled bool
	end     <-chan struct{}

	hold    func(*T) bool
	pending []fifo[T] // the reader's: by worker, in the order of hand-over
	done    []uint64  // the reader's copy of worker.done
}

// A worker is one worker's side of the queue.
type worker[T any] struct {
	chunk  *chunk[T] // being filled; not empty, or nil
	made   int       // chunks there are
	most   int       // chunks there may be
	batch  uint64    // Marks so far
	now    int64
	counts Counts

	_    [64]byte       // apart from what others write
	free chan *chunk[T] // has room for every chunk of the worker
	done atomic.Uint64  // batches of which everything was handed over; replay

	mu        sync.Mutex
	published Counts
	_         [64]byte
}

// A chunk is items of one worker, in replay with several workers of one batch.
type chunk[T any] struct {
	items  []T
	shards []uint8
	worker int
	batch  uint64
	born   int64 // the worker's clock when the first item came
	at     int   // the reader's position
	next   *chunk[T]
}

// Counts are the workers' side of the account: Offered = In + Dropped.
type Counts struct {
	Offered uint64 // items
	In      uint64 // those the reader has had or will get
	Dropped uint64 // those there was no room for
}

// New returns an empty queue.
func New[T any](c Config) *Queue[T] {
	var item T
	chunkBytes := int64(chunkLen) * int64(unsafe.Sizeof(item)+1)
	most := max(chunksLeast, int(c.Bytes/int64(c.Workers)/chunkBytes))
	q := &Queue[T]{
		replay:  c.Replay,
		workers: make([]worker[T], c.Workers),
		ready:   make(chan *chunk[T], most*c.Workers),
		wake:    make(chan struct{}, 1),
		hold:    func(*T) bool { return false },
		pending: make([]fifo[T], c.Workers),
		done:    make([]uint64, c.Workers),
	}
	for i := range q.workers {
		q.workers[i].most = most
		q.workers[i].free = make(chan *chunk[T], most)
	}
	return q
}

// Put copies an item into the queue. It reports whether there was room; in
// replay there always is, in the end. Between two Marks a worker's shards do not
// fall.
//
// That wait ends. Of the workers that wait, the one whose oldest item goes first
// waits for nobody: those that do not wait go on until they have nothing left to
// do, and have then handed over all there is of the batch, since every worker
// gets every batch before a later one.
func (q *Queue[T]) Put(id int, shard uint8, item *T) bool {
	w := &q.workers[id]
	w.counts.Offered++
	if w.chunk == nil && !q.renew(w, id) {
		w.counts.Dropped++
		return false
	}
	c := w.chunk
	c.items = append(c.items, *item)
	c.shards = append(c.shards, shard)
	w.counts.In++
	if len(c.items) == chunkLen {
		q.handOver(w)
	}
	return true
}

// renew takes an empty chunk, and reports whether there was one.
func (q *Queue[T]) renew(w *worker[T], id int) bool {
	select {
	case w.chunk = <-w.free:
	default:
		switch {
		case w.made < w.most:
			w.made++
			w.chunk = &chunk[T]{
				items:  make([]T, 0, chunkLen),
				shards: make([]uint8, 0, chunkLen),
				worker: id,
			}
		case q.settled:
			select {
			case w.chunk = <-w.free:
			case <-q.end:
				return false
			}
		case q.replay:
			w.chunk = <-w.free
		default:
			return false
		}
	}
	w.chunk.batch, w.chunk.born = w.batch, w.now
	return true
}

// handOver gives the worker's chunk to the reader.
func (q *Queue[T]) handOver(w *worker[T]) {
	c := w.chunk
	w.chunk = nil
	w.publish() // before the reader can count it
	q.ready <- c
	q.signal()
}

func (q *Queue[T]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (w *worker[T]) publish() {
	w.mu.Lock()
	w.published = w.counts
	w.mu.Unlock()
}

// Mark ends a worker's batch; now is its clock in nanoseconds. It hands over
// what has waited long enough, and everything in replay with several workers:
// one that gets no more batches because another one waits must not hold back
// what that one waits for.
func (q *Queue[T]) Mark(id int, now int64) {
	w := &q.workers[id]
	w.now = now
	if c := w.chunk; c != nil && (q.merges() || now-c.born >= handOverAge || now < c.born) {
		q.handOver(w)
	} else {
		w.publish()
	}
	w.batch++
	if q.merges() {
		w.done.Store(w.batch)
		q.signal()
	}
}

// merges reports whether the reader puts items of several workers in order.
func (q *Queue[T]) merges() bool { return q.replay && len(q.workers) > 1 }

// settledBatch is the batch of what comes after Settle.
const settledBatch = math.MaxUint64 - 1

// Settle says that no worker calls Put and Mark any more. What is left comes
// from one goroutine, as worker 0's and in the order in which it is to be read.
// Put then waits for room, until ctx is done.
func (q *Queue[T]) Settle(ctx context.Context) {
	q.settled, q.end = true, ctx.Done()
	for i := range q.workers {
		w := &q.workers[i]
		if w.chunk != nil {
			q.handOver(w)
		}
		w.publish()
		w.batch = settledBatch
		w.done.Store(math.MaxUint64)
	}
	q.signal()
}

// Close says that nothing more is put. Drain then gives what is left.
func (q *Queue[T]) Close() {
	for i := range q.workers {
		w := &q.workers[i]
		if w.chunk != nil {
			q.handOver(w)
		}
		w.publish()
	}
	q.closed.Store(true)
	q.signal()
}

// Counts returns the workers' side of the account, as of their last chunk or
// Mark. Any goroutine may call it. Taken after the reader's count of what it
// got, In is never less than that.
func (q *Queue[T]) Counts() Counts {
	var sum Counts
	for i := range q.workers {
		w := &q.workers[i]
		w.mu.Lock()
		sum.Offered += w.published.Offered
		sum.In += w.published.In
		sum.Dropped += w.published.Dropped
		w.mu.Unlock()
	}
	return sum
}
