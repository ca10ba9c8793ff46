package spool

import (
	"errors"
	"io"
)

// A window is a part of a segment in memory, from which records are read in
// order. Its buffer is at most what it was made with, or one record.
type window struct {
	file io.ReaderAt
	to   int64 // where what may be read ends
	from int64 // where buf begins
	buf  []byte
}

// at returns the record at an offset, as parseRecord does. errShort says that
// it does not end before w.to; any other error is that of the file.
func (w *window) at(offset int64) (event []byte, at int64, n int, err error) {
	if w.from <= offset && offset <= w.from+int64(len(w.buf)) {
		event, at, n, err = parseRecord(w.buf[offset-w.from:])
	} else {
		n, err = recordSize, errShort
	}
	for range 2 { // once for the head of the record, once for all of it
		if err != errShort || offset+int64(n) > w.to {
			break
		}
		if err := w.fill(offset, n); err != nil {
			return nil, 0, 0, err
		}
		event, at, n, err = parseRecord(w.buf)
	}
	return event, at, n, err
}

// fill reads what is at an offset, at least need bytes. An error behind them is
// left to who wants what is there.
func (w *window) fill(offset int64, need int) error {
	n := int(min(int64(max(need, cap(w.buf))), w.to-offset))
	if cap(w.buf) < n {
		w.buf = make([]byte, n)
	}
	w.from, w.buf = offset, w.buf[:n]
	got, err := w.file.ReadAt(w.buf, offset)
	if got >= need {
		err = nil
	}
	w.buf = w.buf[:got]
	return err
}

// next returns where the record behind a bad one begins, and whether it is
// there: the bad one tells its length, and a good one or the end follows.
func (w *window) next(offset int64) (int64, bool) {
	_, _, n, err := w.at(offset)
	behind := offset + int64(n)
	if err != errCorrupt || n == 0 || behind > w.to {
		return 0, false
	}
	if behind == w.to {
		return behind, true
	}
	_, _, _, err = w.at(behind)
	return behind, err == nil
}

// scan finds how far there are records in a segment, how many, and the time of
// the first. A bad record that others follow counts, one that ends it does not.
func scan(file io.ReaderAt, from, size int64) (to int64, events int, first int64, err error) {
	w := window{file: file, to: size, buf: make([]byte, 0, 256<<10)}
	for to = from; to < size; events++ {
		_, at, n, err := w.at(to)
		switch {
		case err == nil:
			to += int64(n)
		case err == errCorrupt:
			behind, ok := w.next(to)
			if !ok || behind == size {
				return to, events, first, nil
			}
			to = behind
		case err == errShort || errors.Is(err, io.EOF):
			return to, events, first, nil
		default:
			return to, events, first, err
		}
		if first == 0 {
			first = at
		}
	}
	return to, events, first, nil
}
