package spool

import (
	"cmp"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/sink/dir"
)

// Next returns where the next Append puts its event, if it does not fail.
func (s *Spool) Next() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seg := s.active(); seg != nil {
		return Position{seg.number, uint32(seg.size) + uint32(len(s.buf))}
	}
	return Position{s.next, headerSize}
}

// Append adds an event of 1 to [MaxEvent] bytes, which it copies. On an error
// it is not added, and Reason says why; the caller counts it.
func (s *Spool) Append(event []byte) error {
	if len(event) == 0 || len(event) > MaxEvent {
		return fmt.Errorf("spool: event of %d bytes; it must be 1 to %d", len(event), MaxEvent)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := recordSize + len(event)
	if err := s.room(n); err != nil {
		return err
	}
	if s.buffered == 0 {
		s.since = s.cfg.Now().UnixNano()
	}
	s.buf = appendRecord(s.buf, event, s.since)
	s.buffered++
	seg := s.active()
	seg.left++
	s.stats.Appended++
	s.stats.Pending++
	s.stats.Bytes += int64(n)
	s.signal()
	if seg.size+int64(len(s.buf)) < s.cfg.SegmentBytes {
		return nil
	}
	if s.fault = s.flush(); s.fault == nil {
		s.seal()
	}
	return nil
}

// room makes room for a record of n bytes in the buffer, or says why there is
// none. What failed is tried again by the next sync, or after it.
func (s *Spool) room(n int) error {
	seg, need := s.active(), int64(n)
	if seg == nil {
		need += headerSize
	}
	switch {
	case s.closed:
		return ErrClosed
	case s.fault != nil:
		return s.fault
	case s.scarce:
		return errScarce
	case s.stats.Bytes+need > s.cfg.Size:
		return ErrFull
	case seg == nil:
		s.fault = s.create()
	case len(s.buf)+n > bufferBytes:
		s.fault = s.flush()
	}
	return s.fault
}

// create begins a segment, whose name is durable before it has an event. A
// directory that was removed is made again.
func (s *Spool) create() error {
	if err := cmp.Or(s.lock.Check(), os.Chmod(s.cfg.Dir, 0o700)); err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	number, path := s.next, s.path(s.next)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err == nil || os.IsExist(err) {
		s.next++ // it may be there after a failure too
	}
	if err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	_, err = f.WriteAt(appendHeader(nil, number, s.id), 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = dir.Sync(s.cfg.Dir)
	}
	if err != nil {
		f.Close()
		os.Remove(path)
		return fmt.Errorf("begin segment %s: %w", path, err)
	}
	s.segments = append(s.segments, &segment{number: number, size: headerSize, file: f})
	s.stats.Bytes += headerSize
	s.free()
	return nil
}

// flush gives the buffer to the kernel. If that fails it stays, and what was
// written of it is written over by the next flush, or cut off by the next Open.
func (s *Spool) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	seg := s.active()
	if _, err := seg.file.WriteAt(s.buf, seg.size); err != nil {
		return fmt.Errorf("write segment: %w", err)
	}
	n := int64(len(s.buf))
	from, to := uint32(seg.size), uint32(seg.size+n)
	if last := len(s.todo) - 1; last >= 0 && s.todo[last].to == from && s.todo[last].segment == seg.number && !s.todo[last].back {
		s.todo[last].to = to
		s.todo[last].events += s.buffered
	} else {
		s.todo = append(s.todo, span{seg.number, from, to, s.buffered, s.since, false})
	}
	seg.size += n
	s.buf, s.buffered = s.buf[:0], 0
	if cap(s.buf) > 2*bufferBytes {
		s.buf = make([]byte, 0, bufferBytes)
	}
	s.changed = true
	s.unsynced += n
	if s.unsynced >= unsyncedMax {
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
	return nil
}

// seal ends the segment that is written; the next Append begins another.
func (s *Spool) seal() {
	seg := s.active()
	s.sealed = append(s.sealed, seg.file)
	seg.file = nil
}

// free removes the segments of which nothing is left, but not the newest, whose
// number says which were used.
func (s *Spool) free() {
	kept := s.segments[:0]
	for i, seg := range s.segments {
		if seg.left > 0 || seg.file != nil || i == len(s.segments)-1 {
			kept = append(kept, seg)
			continue
		}
		if err := os.Remove(s.path(seg.number)); err != nil && !os.IsNotExist(err) {
			s.warn("segment is not removed", "err", err)
			kept = append(kept, seg)
			continue
		}
		s.stats.Bytes -= seg.size
	}
	clear(s.segments[len(kept):])
	s.segments = kept
}
