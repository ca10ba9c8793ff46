package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
)

const (
	writeLen = 1 << 20
	fileLen  = 128 << 20
	files    = 4
)

// An output appends frames to files in turn. Its buffer is a write and the
// longest record.
type output struct {
	dir  string
	buf  []byte
	file *os.File
	n    int // files begun
	size int // of this one
}

// add appends a frame of so many bytes, of which these were captured.
func (o *output) add(sec, nsec uint32, frame []byte, length int) error {
	var header [16]byte
	binary.LittleEndian.PutUint32(header[0:], sec)
	binary.LittleEndian.PutUint32(header[4:], nsec)
	binary.LittleEndian.PutUint32(header[8:], uint32(len(frame)))
	binary.LittleEndian.PutUint32(header[12:], uint32(length))
	o.buf = append(append(o.buf, header[:]...), frame...)
	if len(o.buf) < writeLen {
		return nil
	}
	return o.flush(writeLen)
}

// flush writes the first n bytes of the buffer.
func (o *output) flush(n int) (err error) {
	if o.size >= fileLen {
		if err := o.file.Close(); err != nil {
			return err
		}
		o.file = nil
	}
	if o.file == nil {
		o.file, err = os.Create(filepath.Join(o.dir, strconv.Itoa(o.n%files)))
		if err != nil {
			return err
		}
		o.n, o.size = o.n+1, 0
	}
	if _, err := o.file.Write(o.buf[:n]); err != nil {
		return err
	}
	o.size += n
	o.buf = o.buf[:copy(o.buf, o.buf[n:])]
	return nil
}

func (o *output) close() error {
	if len(o.buf) > 0 {
		if err := o.flush(len(o.buf)); err != nil {
			return err
		}
	}
	if o.file == nil {
		return nil
	}
	return o.file.Close()
}
