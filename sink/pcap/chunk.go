package pcap

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
)

const (
	// chunkBytes holds the longest record, so that every frame fits an empty
	// chunk.
	chunkBytes = recordHeader + MaxSnap

	// chunkEntries is what a chunk of 128-byte records needs. One of shorter
	// records is full before its bytes are.
	chunkEntries = chunkBytes / 128

	// chunkCost is what a chunk takes of Config.Buffer: 256 KiB of records and
	// 64 KiB of entries. The default of 128 MiB is 409 chunks or 107 MB of
	// records, which is 0.9 s of traffic at 1 Gbit/s.
	chunkCost = chunkBytes + chunkEntries*entryBytes

	entryBytes = 32 // of an entry, on 64-bit machines
)

// A chunk is the unit of hand-over between a worker and the writer: whole pcap
// records, back to back, and an entry for each.
type chunk struct {
	data    []byte
	entries []entry

	worker   int
	number   uint64 // among the chunks of this worker, in the order of hand-over
	unsorted bool   // entries are not in order
	lowest   int64  // order of an entry
	last     int64  // order of the entry added last
	born     int64  // the worker's clock when the first frame came

	at   int    // the writer's position in entries
	next *chunk // in the free list
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
	c.unsorted, c.at = false, 0
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

// A freeList is a stack of chunks that the writer puts back and one worker
// takes from, without a lock: the chunk that is used next is the one whose
// memory was touched last. That only one goroutine pops is what makes the
// compare-and-swap of pop sound: a chunk cannot leave and come back between.
type freeList struct{ top atomic.Pointer[chunk] }

func (l *freeList) push(c *chunk) {
	for {
		c.next = l.top.Load()
		if l.top.CompareAndSwap(c.next, c) {
			return
		}
	}
}

// pop returns nil when there is none.
func (l *freeList) pop() *chunk {
	for {
		c := l.top.Load()
		if c == nil || l.top.CompareAndSwap(c, c.next) {
			return c
		}
	}
}
