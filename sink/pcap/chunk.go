package pcap

import (
	"cmp"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// A chunk is the unit of hand-over between a worker and the writer: whole pcap
// records, back to back, and an entry for each.
type chunk struct {
	data    []byte
	entries []entry

	worker   int    // who filled it
	number   uint64 // among the chunks of this worker, in the order of hand-over
	unsorted bool   // entries are not in order
	lowest   int64  // order of an entry
	last     int64  // order of the entry added last
	born     int64  // the worker's clock when the first frame came

	// The writer's.
	at      int       // its position in entries
	arrived time.Time // monotonic
	overdue bool      // has been there for the window
}

// An entry says where in its chunk a record lies, and what the merge needs to
// know of it.
type entry struct {
	order   int64
	time    int64
	session *packet.Session
	offset  uint32
	length  uint32 // of the whole record
}

// fits reports whether a record with n bytes of frame can be added. A nil
// chunk has no room.
func (c *chunk) fits(n int) bool {
	return c != nil && len(c.data)+recordHeader+n <= cap(c.data) && len(c.entries) < cap(c.entries)
}

// add appends f as a record that holds data, which must fit.
func (c *chunk) add(f *packet.Frame, data []byte) {
	offset := len(c.data)
	c.data = c.data[:offset+recordHeader+len(data)]
	record := c.data[offset:]
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
	c.entries = append(c.entries, entry{
		order: f.Order, time: f.Time, session: f.Session,
		offset: uint32(offset), length: uint32(len(record)),
	})
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
	c.data, c.entries = c.data[:0], c.entries[:0]
	c.unsorted, c.at, c.overdue = false, 0, false
}

// before reports whether c's next entry goes before d's: by order, and among
// equals by worker and hand-over, so that the order is total.
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
