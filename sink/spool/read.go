package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// keepBatches is how many batches are kept for later Reads.
const keepBatches = 2

// A span is a run of records in one segment.
type span struct {
	segment  uint64
	from, to uint32
	events   int
	since    int64 // time of the first, or a little before
	back     bool  // was out: Read returns no more with it
}

func (a span) compare(b span) int {
	return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.from, b.from))
}

// A Batch is a run of events that one reader has. Its memory is the spool's: the
// events are not to be used after Park, the batch not after Commit or Return.
type Batch struct {
	Events      [][]byte
	First, Last Position
	Oldest      time.Time // when the first was appended

	span span
	buf  []byte
}

// Read returns the next events that nobody has, at most maxEvents, and maxBytes
// with 16 bytes for each, but at least one event; nil if there are none. They
// are of one segment, and what was returned comes back in the batches it was in,
// or smaller ones. The batch is to be committed or returned. After an error
// nothing is lost, and Read can be tried again.
func (s *Spool) Read(maxEvents, maxBytes int) (*Batch, error) {
	s.reads.Lock()
	defer s.reads.Unlock()
	for {
		b, sp, err := s.first()
		if b == nil || err != nil {
			return nil, err
		}
		drop, reason, err := s.fill(b, sp, max(1, maxEvents), max(recordSize, maxBytes))
		s.mu.Lock()
		got := len(b.Events) > 0
		switch {
		case err != nil && !got:
		case got:
			b.span = s.take(sp, b.span.to, len(b.Events), b.Oldest.UnixNano())
			b.span.since = b.Oldest.UnixNano()
			s.out[b] = struct{}{}
		default:
			lost := s.take(sp, drop.to, drop.events, sp.since)
			s.settle(lost, &s.stats.Dropped[reason])
		}
		if !got {
			s.recycle(b)
		}
		if err == nil && (len(s.todo) > 0 || s.buffered > 0) {
			s.signal()
		}
		s.mu.Unlock()
		if got {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// first returns the first span to be read and a batch for it.
func (s *Spool) first() (*Batch, span, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, span{}, ErrClosed
	}
	if len(s.todo) == 0 {
		if err := s.flush(); err != nil {
			return nil, span{}, err
		}
	}
	if len(s.todo) == 0 {
		return nil, span{}, nil
	}
	if n := len(s.spare); n > 0 {
		b := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return b, s.todo[0], nil
	}
	return &Batch{}, s.todo[0], nil
}

// fill reads good events from the beginning of a span into b. If there is none,
// drop is what is to be dropped for the reason, unless there is an error.
func (s *Spool) fill(b *Batch, sp span, maxEvents, maxBytes int) (drop span, reason packet.Drop, err error) {
	drop = sp
	f, err := os.OpenFile(s.path(sp.segment), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if os.IsNotExist(err) {
		s.lost(sp, sp.events, err)
		s.leave(sp.segment)
		return drop, packet.DropIO, nil
	}
	if err != nil {
		return drop, 0, fmt.Errorf("read segment: %w", err)
	}
	defer f.Close()
	// The window is filled once, so that events in it stay where they are.
	if int64(cap(b.buf)) < min(int64(maxBytes), int64(sp.to-sp.from)) {
		b.buf = make([]byte, 0, min(int64(maxBytes), int64(sp.to-sp.from)))
	}
	w := window{file: f, to: int64(sp.to), buf: b.buf[:0:min(cap(b.buf), maxBytes)]}
	defer func() {
		if cap(w.buf) > cap(b.buf) { // for one record that is larger
			b.buf = w.buf
		}
	}()
	var oldest int64
	if s.cfg.Age > 0 {
		oldest = s.cfg.Now().Add(-s.cfg.Age).UnixNano()
	}
	offset, expired := int64(sp.from), 0
	for offset < w.to && len(b.Events) < maxEvents {
		if len(b.Events) > 0 && !w.holds(offset) {
			return drop, 0, nil
		}
		event, at, n, err := w.at(offset)
		old := err == nil && s.cfg.Age > 0 && at < oldest
		if len(b.Events) > 0 && (err != nil || old) || expired > 0 && !old {
			break
		}
		if err != nil {
			return s.bad(&w, sp, err)
		}
		offset += int64(n)
		drop.to = uint32(offset)
		if old {
			expired++
			continue
		}
		start := Position{sp.segment, uint32(offset) - uint32(n)}
		if len(b.Events) == 0 {
			b.First, b.Oldest = start, time.Unix(0, at)
		}
		b.Last, b.span.to = start, uint32(offset)
		b.Events = append(b.Events, event)
	}
	drop.events = expired
	return drop, packet.DropExpired, nil
}

// holds reports whether the whole record at an offset is in memory.
func (w *window) holds(offset int64) bool {
	_, _, _, err := parseRecord(w.buf[min(offset-w.from, int64(len(w.buf))):])
	return err != errShort
}

// bad returns what is lost with the bad record that a span begins with.
func (s *Spool) bad(w *window, sp span, err error) (span, packet.Drop, error) {
	if err != errCorrupt && err != errShort && !errors.Is(err, io.EOF) && !errors.Is(err, unix.EIO) {
		return sp, 0, fmt.Errorf("read segment: %w", err)
	}
	lost := sp
	if behind, ok := w.next(int64(sp.from)); ok && behind < w.to {
		lost.to, lost.events = uint32(behind), 1
	}
	s.lost(sp, lost.events, err)
	return lost, packet.DropIO, nil
}

func (s *Spool) lost(sp span, events int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warn("events in the spool cannot be read and are dropped",
		"segment", sp.segment, "offset", sp.from, "events", events, "err", err)
}

// leave ends a segment whose file was removed, if it is still written.
func (s *Spool) leave(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seg := s.active(); seg != nil && seg.number == number && s.flush() == nil {
		s.seal()
	}
}

// take takes the first events of a span, up to an offset, from what is to be
// read. Behind its last record there are no events.
func (s *Spool) take(sp span, to uint32, events int, last int64) span {
	i, _ := slices.BinarySearchFunc(s.todo, sp, span.compare)
	rest := &s.todo[i]
	taken := *rest
	taken.to, taken.events = to, min(events, rest.events)
	rest.from, rest.events, rest.since = to, rest.events-taken.events, last
	if rest.from >= rest.to {
		taken.events += rest.events
		s.todo = slices.Delete(s.todo, i, i+1)
	}
	return taken
}

// settle gives what was taken its final outcome.
func (s *Spool) settle(sp span, count *uint64) {
	*count += uint64(sp.events)
	s.stats.Pending -= sp.events
	s.changed = true
	s.journal.add(sp)
	if seg := s.segment(sp.segment); seg != nil {
		if seg.left -= sp.events; seg.left == 0 && seg.file == nil {
			s.free()
		}
	}
}

// Commit says that the outcome of a batch is final. A batch that is not out is
// left alone, and after Close every one: it is read after the next Open.
func (s *Spool) Commit(b *Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, out := s.out[b]; out && !s.closed {
		delete(s.out, b)
		s.settle(b.span, &s.stats.Committed)
		s.recycle(b)
	}
}

// Return gives a batch back to be read again, before what is behind it.
func (s *Spool) Return(b *Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, out := s.out[b]; out && !s.closed {
		delete(s.out, b)
		b.span.back = true
		i, _ := slices.BinarySearchFunc(s.todo, b.span, span.compare)
		s.todo = slices.Insert(s.todo, i, b.span)
		s.recycle(b)
		s.signal()
	}
}

// Park gives up the memory of a batch whose outcome comes later. Its Events
// become nil, and it stays out until Commit or Return.
func (s *Spool) Park(b *Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, out := s.out[b]; out && b.buf != nil {
		s.recycle(&Batch{Events: b.Events, buf: b.buf})
		b.Events, b.buf = nil, nil
	}
}

// recycle keeps the memory of a batch for a later Read.
func (s *Spool) recycle(b *Batch) {
	clear(b.Events)
	*b = Batch{Events: b.Events[:0], buf: b.buf[:0]}
	if b.buf != nil && len(s.spare) < keepBatches {
		s.spare = append(s.spare, b)
	}
}
