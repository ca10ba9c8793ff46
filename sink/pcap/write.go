package pcap

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/dir"
)

// A segment is a run of records of one stream that lie behind one another in
// one chunk.
type segment struct {
	data    []byte
	packets int32
	next    int32 // of the same stream, -1: none
}

// maxSegments bounds what a round gathers before it is written: 2 MiB.
const maxSegments = 1 << 16

// gather adds the entry's record to what the stream writes at the end of the
// round. Nothing is copied.
func (w *writer) gather(s *stream, c *chunk, e *entry) {
	record := c.data[e.offset : e.offset+e.length]
	if s.head < 0 {
		s.first = e.time
		s.head = int32(len(w.segments))
		w.dirty = append(w.dirty, s)
	} else {
		last := &w.segments[s.tail]
		if n := len(last.data); n < cap(last.data) && &last.data[:n+1][n] == &record[0] {
			last.data = last.data[:n+len(record)]
			last.packets++
			return
		}
		last.next = int32(len(w.segments))
	}
	s.tail = int32(len(w.segments))
	w.segments = append(w.segments, segment{data: record, packets: 1, next: -1})
}

// flush writes the stream's segments. Every frame in them is counted, as stored
// or as dropped.
func (w *writer) flush(s *stream) {
	if s.head < 0 {
		return
	}
	next := s.head
	s.head, s.tail = -1, -1
	err := w.prepare(s)
	for err == nil && next >= 0 {
		next, err = w.writeSegments(s.file, next)
	}
	if err == nil {
		w.recovered(s)
		return
	}
	reason := dir.DropReason(err)
	for ; next >= 0; next = w.segments[next].next {
		w.counts[countDropped+int(reason)] += uint64(w.segments[next].packets)
	}
	w.failure(s, reason, err)
	w.afterFailure(s, err)
}

// afterFailure makes the stream's file agree with what is on disk.
func (w *writer) afterFailure(s *stream, err error) {
	f := s.file
	switch {
	case errors.Is(err, dir.ErrGone):
		w.disown(f)
		s.file = nil
		s.retry = w.now // with a new file
	case errors.Is(err, errTail):
		w.abandon(f)
		s.file = nil
	case !f.made():
		s.file = nil
	case f.empty():
		// Not one record: the name would belong to a frame that is not there.
		w.closeFile(f)
		if os.Remove(f.path) == nil {
			s.series.giveBack(f.number)
		}
		s.file = nil
	default:
		f.size, f.packets = f.written, f.stored
	}
}

// writeSegments writes as many segments from next on as one call takes, and
// returns the one that follows. What it does not write it cuts off, so that the
// file ends with a whole record, and counts as dropped by the error's reason.
func (w *writer) writeSegments(f *file, next int32) (int32, error) {
	v := &w.vector
	v.reset()
	if f.empty() {
		v.add(w.header)
	}
	from := next
	var packets uint64
	for next >= 0 && v.room() {
		v.add(w.segments[next].data)
		packets += uint64(w.segments[next].packets)
		next = w.segments[next].next
	}
	n, err := v.write(f.fd)
	w.sink.gauges.written.Add(uint64(n))
	if err != nil {
		kept, bytes := w.whole(f, from, n)
		if tailErr := truncate(f, f.written+int64(bytes)); tailErr != nil {
			err, kept = tailErr, 0
		} else {
			w.grow(f, bytes)
			f.stored += int64(kept)
			w.counts[countStored] += uint64(kept)
		}
		// The rest of these segments; the caller counts the others.
		w.counts[countDropped+int(dir.DropReason(err))] += packets - uint64(kept)
		return next, err
	}
	w.grow(f, n)
	if err := f.check(); err != nil {
		w.counts[countDropped+int(packet.DropIO)] += packets
		return next, err
	}
	f.stored += int64(packets)
	w.counts[countStored] += packets
	return next, nil
}

// grow takes note that the file has n more bytes.
func (w *writer) grow(f *file, n int) {
	f.written += int64(n)
	f.dirty = true
	w.sink.gauges.unfinishedBytes.Add(int64(n))
	w.startWriteback(f)
}

// whole returns how many whole records the first n bytes written to the file
// hold, from the given segment on, and how many bytes are worth keeping.
func (w *writer) whole(f *file, next int32, n int) (records, bytes int) {
	if f.empty() {
		if n <= fileHeader {
			return 0, 0
		}
		n -= fileHeader
		defer func() {
			if records > 0 {
				bytes += fileHeader
			}
		}()
	}
	for ; next >= 0 && n > 0; next = w.segments[next].next {
		data := w.segments[next].data
		r, b := wholeRecords(data, min(n, len(data)))
		records, bytes = records+r, bytes+b
		n -= len(data)
	}
	return records, bytes
}

// errTail says that a file could not be cut back to its last whole record. The
// next start does it.
var errTail = errors.New("cut back a record that was not written whole")

func truncate(f *file, size int64) error {
	if err := unix.Ftruncate(f.fd, size); err != nil {
		return fmt.Errorf("%w: %w", errTail, &os.PathError{Op: "ftruncate", Path: f.path, Err: err})
	}
	return nil
}

// maxVector is the most segments one writev takes (IOV_MAX on Linux).
const maxVector = 1024

// A vector is the argument of one writev(2). Unlike unix.Writev it is used
// again, so that writing allocates nothing.
type vector struct {
	iov [maxVector]unix.Iovec
	n   int
}

func (v *vector) reset() {
	clear(v.iov[:v.n])
	v.n = 0
}

func (v *vector) room() bool { return v.n < maxVector }

func (v *vector) add(b []byte) {
	v.iov[v.n].Base = &b[0]
	v.iov[v.n].SetLen(len(b))
	v.n++
}

// write writes all of it, or says how much was written before err.
func (v *vector) write(fd int) (written int, err error) {
	iov := v.iov[:v.n]
	for len(iov) > 0 {
		r, _, errno := unix.Syscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&iov[0])), uintptr(len(iov)))
		n := int(r)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return written, os.NewSyscallError("writev", errno)
		case n == 0:
			return written, io.ErrShortWrite
		}
		written += n
		for len(iov) > 0 && n >= int(iov[0].Len) {
			n -= int(iov[0].Len)
			iov = iov[1:]
		}
		if n > 0 {
			iov[0].Base = (*byte)(unsafe.Add(unsafe.Pointer(iov[0].Base), n))
			iov[0].SetLen(int(iov[0].Len) - n)
		}
	}
	return written, nil
}
