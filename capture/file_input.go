package capture

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/periscope-collector/periscope/packet"
)

// maxZstdWindow is the largest window of a zstd file that is read, in bytes.
// The zstd command reads no larger one either, unless told to.
const maxZstdWindow = 128 << 20

// stdinPath stands for standard input among the paths.
const stdinPath = "-"

// OpenFiles returns a source of the given files. It fails if one of them does
// not exist, or is a regular file that cannot be opened; nothing is read yet.
func OpenFiles(c FileConfig) (*Files, error) {
	switch {
	case len(c.Paths) == 0:
		return nil, errors.New("no capture file given")
	case c.BareVNI >= 1<<24:
		return nil, fmt.Errorf("VNI %d: not in 0 to %d", c.BareVNI, 1<<24-1)
	case c.Batches < 0:
		return nil, fmt.Errorf("%d batches: must not be negative", c.Batches)
	case c.BatchLen < 0 || c.BatchLen > fileBatchLen:
		return nil, fmt.Errorf("batches of %d datagrams: not in 0 to %d", c.BatchLen, fileBatchLen)
	}
	c.Batches = cmp.Or(c.Batches, defaultBatches)
	c.BatchLen = cmp.Or(c.BatchLen, fileBatchLen)
	f := &Files{
		bareVNI:  c.BareVNI,
		batchLen: c.BatchLen,
		paths:    c.Paths,
		stdin:    c.Stdin,
		free:     make(chan *packet.Batch, c.Batches),
		chunks:   make(chan *chunk, c.Batches+1),
		loans:    make(map[*packet.Batch]*loan, c.Batches),
		chunk:    newChunk(),
		closed:   make(chan struct{}),
		poison:   poison,
	}
	var err error
	if f.total, err = check(c.Paths, c.Stdin); err != nil {
		return nil, err
	}
	f.chunk.users.Store(1)
	for range c.Batches {
		b := packet.NewBatch(c.BatchLen)
		f.loans[b] = new(loan)
		f.free <- b
		f.chunks <- newChunk()
	}
	return f, nil
}

// check returns the size of all files together, or -1 if it cannot be known.
// Only regular files are opened: the writer of a pipe would notice.
func check(paths []string, stdin io.Reader) (total int64, err error) {
	known, stdins := true, 0
	for _, path := range paths {
		if path == stdinPath {
			known = false
			if stdins++; stdin == nil || stdins > 1 {
				return 0, errors.New(`standard input ("-") can be read only once`)
			}
			continue
		}
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return 0, err
		case info.IsDir():
			return 0, &fs.PathError{Op: "read", Path: path, Err: errors.New("is a directory; name the capture files in it")}
		case !info.Mode().IsRegular():
			known = false
			continue
		}
		file, err := os.Open(path)
		if err != nil {
			return 0, err
		}
		file.Close()
		total += info.Size()
	}
	if !known {
		return -1, nil
	}
	return total, nil
}

// advance reads the next record of the input into f.rec, opening the files one
// after the other. It reports false when there is none left.
func (f *Files) advance() bool {
	for {
		if f.in == nil && !f.open() {
			return false
		}
		err := f.in.next(&f.rec)
		if err == nil {
			return true
		}
		if f.isClosed() {
			return false // whatever err is, closing made it
		}
		if in := f.in; in.stream.err == io.EOF && in.count < in.size {
			err = fmt.Errorf("shrank while it was read, from %d bytes to %d at most; what was read until then has been handed over", in.size, in.count)
		}
		if err != io.EOF {
			f.errs = append(f.errs, fmt.Errorf("%s: %w", f.in.path, err))
		}
		f.finish()
	}
}

// open opens the next file that can be opened. It reports false when there is
// none, or f is closed.
func (f *Files) open() bool {
	for len(f.paths) > 0 {
		path := f.paths[0]
		f.paths = f.paths[1:]
		// Not under the lock: opening a pipe waits for its writer.
		in, err := openInput(path, f.stdin, &f.read)
		if err != nil {
			f.errs = append(f.errs, err) // names the path
			continue
		}
		in.stream.buf, in.stream.renew = f.renew(), f.renew
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.isClosed() {
			in.file.Close()
			return false
		}
		f.in = in
		return true
	}
	return false
}

// finish closes the file that was read. All of it counts as read, as what is
// behind damage is not going to be.
func (f *Files) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read.Add(max(0, f.in.size-f.in.count))
	f.in.file.Close()
	if f.in.zstd != nil {
		f.in.zstd.Close()
	}
	f.in = nil
}

// An input is one file while it is read.
type input struct {
	path   string
	format format
	stream stream

	file io.ReadCloser
	zstd *zstd.Decoder // or nil
	size int64         // of the file, 0 if not known

	count int64 // bytes read of the file
	read  *atomic.Int64
}

func openInput(path string, stdin io.Reader, read *atomic.Int64) (*input, error) {
	in := &input{path: path, read: read}
	if path == stdinPath {
		in.path, in.file = "standard input", io.NopCloser(stdin)
	} else {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		in.file = file
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		}
	}
	return in, nil
}

// uncompress lets the stream read the file, through a decompressor if the
// first bytes ask for one.
func (in *input) uncompress() {
	plain := bufio.NewReaderSize(counted{in}, 64<<10)
	s := &in.stream
	s.r = plain
	magic, _ := plain.Peek(4)
	var err error
	switch {
	case isGzip(magic):
		s.compression = "gzip"
		s.r, err = gzip.NewReader(plain)
	case isZstd(magic):
		s.compression = "zstd"
		in.zstd, err = zstd.NewReader(plain, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		s.r = in.zstd
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	s.err = err
}

// isGzip reports whether b begins a gzip member (RFC 1952, section 2.3.1).
func isGzip(b []byte) bool { return len(b) >= 2 && b[0] == 0x1f && b[1] == 0x8b }

// isZstd reports whether b begins a zstd frame, or a skippable one, as parallel
// compressors write in front (RFC 8878, section 3.1).
func isZstd(b []byte) bool {
	return len(b) >= 4 && (string(b) == "\x28\xb5\x2f\xfd" || b[0]&0xf0 == 0x50 && string(b[1:]) == "\x2a\x4d\x18")
}

// next reads the next record. It returns io.EOF at the end of a whole file.
func (in *input) next(rec *record) (err error) {
	if in.format == nil {
		in.uncompress()
		if in.format, err = openFormat(&in.stream); err != nil {
			return err
		}
	}
	return in.format.next(rec)
}

// counted reads the file of an input and counts its bytes.
type counted struct{ *input }

func (c counted) Read(b []byte) (int, error) {
	n, err := c.file.Read(b)
	c.count += int64(n)
	c.read.Add(int64(n))
	return n, err
}
