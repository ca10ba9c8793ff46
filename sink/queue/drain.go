package queue

// Ready yields when Drain may have something to do.
func (q *Queue[T]) Ready() <-chan struct{} { return q.wake }

// Drain calls f for every item that is due, in order. The item is valid during
// the call. It reports true when the queue is closed and nothing is left. When
// more comes meanwhile, Ready yields; it does not when an item need not be held
// any more.
func (q *Queue[T]) Drain(f func(*T)) (end bool) {
	end = q.closed.Load()
	// What counts as done was handed over before, so it is read first.
	for i := range q.workers {
		q.done[i] = q.workers[i].done.Load()
	}
	q.collect()
	mayHold := !end && q.roomy()
	for c := q.next(end); c != nil; c = q.next(end) {
		if !q.pass(c, f, mayHold) {
			break
		}
	}
	return end
}

// collect takes what workers have handed over.
func (q *Queue[T]) collect() {
	for {
		select {
		case c := <-q.ready:
			q.pending[c.worker].push(c)
		default:
			return
		}
	}
}

// roomy reports whether every worker has half its room left or more.
func (q *Queue[T]) roomy() bool {
	for i := range q.pending {
		if 2*q.pending[i].chunks >= q.workers[i].most {
			return false
		}
	}
	return true
}

// A fifo is a list of chunks. The zero value is empty.
type fifo[T any] struct {
	first, last *chunk[T]
	chunks      int
}

func (l *fifo[T]) push(c *chunk[T]) {
	l.chunks++
	if l.first == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
}

func (l *fifo[T]) pop() {
	l.chunks--
	c := l.first
	l.first, c.next = c.next, nil
}

// next returns the chunk whose next item goes first, or nil when an earlier one
// may still come. Live any chunk will do.
func (q *Queue[T]) next(end bool) *chunk[T] {
	var first *chunk[T]
	for i := range q.pending {
		if c := q.pending[i].first; c != nil && (first == nil || c.before(first)) {
			first = c
		}
	}
	if first == nil || !q.merges() || end {
		return first
	}
	for i := range q.pending {
		if q.pending[i].first == nil && q.done[i] <= first.batch {
			return nil
		}
	}
	return first
}

func (c *chunk[T]) before(d *chunk[T]) bool {
	if c.batch != d.batch {
		return c.batch < d.batch
	}
	return c.shards[c.at] < d.shards[d.at]
}

// pass gives f the items of c, in replay those of one shard, since the next
// shard may be another worker's. It reports whether none is held.
func (q *Queue[T]) pass(c *chunk[T], f func(*T), mayHold bool) bool {
	shard := c.shards[c.at]
	for c.at < len(c.items) && (!q.merges() || c.shards[c.at] == shard) {
		if mayHold && q.hold(&c.items[c.at]) {
			return false
		}
		f(&c.items[c.at])
		c.at++
	}
	if c.at < len(c.items) {
		return true
	}
	q.pending[c.worker].pop()
	clear(c.items)
	c.items, c.shards, c.at = c.items[:0], c.shards[:0], 0
	q.workers[c.worker].free <- c
	return true
}
