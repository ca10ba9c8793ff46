package pcap

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// A chunk is the unit of hand-over between a worker and the writer: whole pcap
// records, and an entry for each. Records of one session lie back to back where
// they can, so that the kernel gets few long pieces and not many short ones.
type chunk struct {
	data    []byte // the blocks that lanes have
	entries []entry
	lanes   [numLanes]lane

	worker   int    // who filled it
	number   uint64 // among the chunks of this worker, in the order of filling
	unsorted bool   // entries are not in order
	lowest   int64  // order of an entry
	last     int64  // order of the entry added last

	// The writer's.
	at      int       // its position in entries
	arrived time.Time // monotonic
	overdue bool      // has been there for the window
}

const (
	// numLanes is how many places of a chunk are filled at once. Sessions whose
	// ids are equal modulo numLanes share one.
	numLanes = 64

	// blockBytes is how much of the chunk a lane takes at a time. What it leaves
	// is less than a record; what lanes have left in the end, others borrow. So
	// of IMIX a chunk holds 85 % of its bytes or more.
	blockBytes = 4096
)

// A lane is the room that is left in its latest block, as offsets into the
// chunk's data.
type lane struct{ next, end uint32 }

// An entry says where in its chunk a record lies, and what the merge needs to
// know of it.
type entry struct {
	order   int64
	time    int64
	session *packet.Session
	offset  uint32
	length  uint32 // of the whole record
}

// fits reports whether a record with n bytes of frame can be added for the
// session, and makes sure that its lane has room if so. A nil chunk has none.
func (c *chunk) fits(session *packet.Session, n int) bool {
	if c == nil || len(c.entries) == cap(c.entries) {
		return false
	}
	l := &c.lanes[session.ID%numLanes]
	need := uint32(recordHeader + n)
	return l.end-l.next >= need || c.extend(l, need) || c.borrow(l, need)
}

// extend gives the lane a block of the chunk, or what is left of it: behind the
// one it has if that is the latest, so that a single session leaves no gaps.
func (c *chunk) extend(l *lane, need uint32) bool {
	used, most := uint32(len(c.data)), uint32(cap(c.data))
	next := used
	if l.end == used {
		next = l.next
	}
	if most-next < need {
		return false
	}
	l.next, l.end = next, min(most, max(next+need, used+blockBytes))
	c.data = c.data[:l.end]
	return true
}

// borrow gives the lane what is left of another one, when the chunk is nearly
// full.
func (c *chunk) borrow(l *lane, need uint32) bool {
	for i := range c.lanes {
		if o := &c.lanes[i]; o.end-o.next >= need {
			*l, *o = *o, *l
			return true
		}
	}
	return false
}

// add appends f as a record that holds data, which must fit.
func (c *chunk) add(f *packet.Frame, data []byte) {
	l := &c.lanes[f.Session.ID%numLanes]
	offset := l.next
	l.next += uint32(recordHeader + len(data))
	record := c.data[offset:l.next]
	putRecordHeader(record, f.Time, len(data), max(f.Length, len(f.Data)))
	copy(record[recordHeader:], data)

	if len(c.entries) == 0 {
		c.lowest, c.last = f.Order, f.Order
	}
	if f.Order < c.last {
		c.unsorted = true
		c.lowest = min(c.lowest, f.Order)
	}
	c.last = f.Order
	n := len(c.entries)
	c.entries = c.entries[:n+1]
	e := &c.entries[n] // filled in place: to copy what was just written in parts, the processor waits for it
	e.order, e.time, e.session = f.Order, f.Time, f.Session
	e.offset, e.length = offset, uint32(len(record))
}

// sort puts the entries in order; equal ones stay as they came. It takes
// n (log n)² steps at most, whatever the input.
func (c *chunk) sort() {
	if c.unsorted {
		slices.SortStableFunc(c.entries, func(a, b entry) int { return cmp.Compare(a.order, b.order) })
	}
}

// reset empties the chunk and lets go of the sessions.
func (c *chunk) reset() {
	clear(c.entries)
	clear(c.lanes[:])
	c.data, c.entries = c.data[:0], c.entries[:0]
	c.unsorted, c.at, c.overdue = false, 0, false
}

// before reports whether c's next entry goes before d's: by order, and among
// equals by worker and number, so that the order is total.
func (c *chunk) before(d *chunk) bool {
	a, b := c.entries[c.at].order, d.entries[d.at].order
	switch {
	case a != b:
		return a < b
	case c.worker != d.worker:
		return c.worker < d.worker
	}
	return c.number < d.number
}

// A chunkHeap holds chunks with the one to go first on top.
type chunkHeap []*chunk

func (h *chunkHeap) push(c *chunk) {
	*h = append(*h, c)
	for s, i := *h, len(*h)-1; i > 0; {
		up := (i - 1) / 2
		if !s[i].before(s[up]) {
			return
		}
		s[i], s[up] = s[up], s[i]
		i = up
	}
}

// pop removes the top.
func (h *chunkHeap) pop() {
	s := *h
	n := len(s) - 1
	s[0], s[n] = s[n], nil
	*h = s[:n]
	h.fix()
}

// turn returns where the entries of the top end that go before all others.
func (h chunkHeap) turn() limit {
	turn := limit{math.MaxInt64, math.MaxInt}
	for _, c := range h[1:min(3, len(h))] {
		l := limit{c.entries[c.at].order, c.worker}
		if c.worker == h[0].worker && h[0].number < c.number {
			l.worker++
		}
		if l.before(turn) {
			turn = l
		}
	}
	return turn
}

// fix restores the heap after the top has moved on to its next entry.
func (h *chunkHeap) fix() {
	for s, i := *h, 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s); child++ {
			if s[child].before(s[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
}
