package capture

import (
	"errors"
	"fmt"
	"io"
)

// windowLen is the size of the window on a file, in bytes: more than the longest
// record with all that may be written around it. A pcapng block that has to be
// understood and is longer counts as damage.
const windowLen = 1 << 20

// readLen is how much of the window is used, but for a record that is longer:
// what was just read is then still in the processor's cache when it is looked
// at, and so is the memory for what is read next.
const readLen = 256 << 10

// maxEmptyReads is how often in a row a reader may return nothing at all.
const maxEmptyReads = 100

// A stream is a window on the uncompressed bytes of a file. What it returns
// aliases the window, reaches with its capacity to the window's end, and is
// valid until the next call: longer if renew sees to that.
type stream struct {
	r           io.Reader
	compression string // "gzip", "zstd", or "" for none
	buf         []byte // buf[start:end] was read and not consumed
	start, end  int

	// renew returns the window to go on in when buf is used up: buf itself, if
	// nothing in it is needed, or another one. Nil means buf itself. When it is
	// called depends on the bytes alone, not on how they arrive.
	renew func() []byte

	off    int64 // of buf[start] in the file
	record int64 // offset of the record that is being read
	err    error // from r; it ended there
}

// begin says that a record begins here.
func (s *stream) begin() { s.record = s.off }

// peek returns the next n bytes, at most windowLen, and does not consume them.
// It returns io.EOF if the file ends where a record begins.
func (s *stream) peek(n int) ([]byte, error) {
	if s.end-s.start < n {
		if err := s.fill(n); err != nil {
			return nil, err
		}
	}
	return s.buf[s.start : s.start+n], nil
}

// fill reads until there are n bytes.
func (s *stream) fill(n int) error {
	if s.start > 0 && s.start+n > readLen {
		s.move()
	}
	for empty := 0; s.end < s.start+n; {
		if s.err != nil {
			return s.short(n)
		}
		m, err := s.r.Read(s.buf[s.end:max(readLen, s.start+n)])
		s.end += m
		s.err = err
		if empty++; m > 0 {
			empty = 0
		} else if err == nil && empty == maxEmptyReads {
			s.err = io.ErrNoProgress
		}
	}
	return nil
}

// move takes what is not consumed to the front of a window.
func (s *stream) move() {
	to := s.buf
	if s.renew != nil {
		to = s.renew()
	}
	s.end = copy(to, s.buf[s.start:s.end])
	s.buf, s.start = to, 0
}

// advance consumes n bytes that peek returned.
func (s *stream) advance(n int) {
	s.start += n
	s.off += int64(n)
}

// skip consumes n bytes, which may be more than the window holds.
func (s *stream) skip(n int64) error {
	for n > 0 {
		if s.start == s.end {
			if err := s.fill(1); err != nil {
				return err
			}
		}
		m := min(n, int64(s.end-s.start))
		s.advance(int(m))
		n -= m
	}
	return nil
}

// short says why there are no n bytes.
func (s *stream) short(n int) error {
	done := int(s.off - s.record) // of this record
	have := done + s.end - s.start
	switch {
	case s.err == io.EOF && have == 0:
		return io.EOF
	case s.err == io.EOF:
		return fmt.Errorf("cut short at %s: the record needs at least %d bytes, %d are there", s.where(), done+n, have)
	case errors.Is(s.err, io.ErrUnexpectedEOF):
		return fmt.Errorf("cut short at %s: %s: %w", s.where(), s.compression, s.err)
	}
	return s.damage("%w", s.err)
}

// damage returns the error that the current record cannot be read.
func (s *stream) damage(format string, args ...any) error {
	return fmt.Errorf("damaged at %s: %w", s.where(), fmt.Errorf(format, args...))
}

// where names the place of the current record.
func (s *stream) where() string {
	if s.compression == "" {
		return fmt.Sprintf("offset %d", s.record)
	}
	return fmt.Sprintf("offset %d of the uncompressed stream", s.record)
}
