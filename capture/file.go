package capture

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
)

// Sizes of what Files lends.
const (
	fileBatchLen   = 256       // datagrams
	maxPacket      = 256 << 10 // bytes of one packet; libpcap's bound too
	defaultBatches = 8
)

// FileConfig says what OpenFiles reads.
type FileConfig struct {
	// Paths are the capture files, read in this order as one input. "-" is
	// Stdin, at most once.
	Paths []string

	// Stdin is read for the path "-", and never closed.
	Stdin io.Reader

	// BareVNI, if not negative, says that the files hold inner frames of that
	// network identifier (0 to 1<<24-1). Negative means that they hold
	// datagrams to the tunnel ports.
	BareVNI int64

	// Batches is how many batches can be lent at once; 0 means 8. Each has 256
	// datagrams with their frames, 233 bytes together, which are 60 KiB, and
	// there is a chunk of 1 MiB for each of them and one more. So 8 take 9.5
	// MiB, of which 2.8 MiB are touched unless records are longer than 256 KiB.
	// To that comes, for zstd, as much as the file asks, at most 128 MiB.
	Batches int

	// BatchLen is the most datagrams of a batch, at most 256. 0 means 256.
	BatchLen int
}

// Files is a Source that reads capture files.
//
// Next waits while all batches are lent, so a slow consumer slows reading and
// nothing is lost. Every packet record is handed over as one datagram, those
// that are no datagram to a tunnel port with their Reason. A datagram's bytes
// are where they were read to: a batch uses the chunk of memory that all its
// datagrams are in, and ends where the chunk does. Where batches begin and end
// depends on the input's bytes alone.
//
// Of a file that is cut short or corrupt, every packet before the damage is
// handed over; then come the next files. Err says what was damaged.
type Files struct {
	bareVNI  int64
	batchLen int
	paths    []string // not yet opened
	stdin    io.Reader

	free   chan *packet.Batch
	chunks chan *chunk             // those without users
	loans  map[*packet.Batch]*loan // never changed: any goroutine may look up

	in      *input // nil between files
	chunk   *chunk // of in's stream
	rec     record
	pending bool // rec was read and is in another chunk than the last batch

	order int64 // of the next packet
	now   int64 // the largest time so far
	errs  []error

	read  atomic.Int64
	total int64 // -1 when unknown

	mu     sync.Mutex // guards closing against the opening of the next file
	closed chan struct{}

	poison bool // under test: Release overwrites the datagrams
}

// A loan is what a batch uses while it is lent. It belongs to whoever has the
// batch.
type loan struct{ chunk *chunk }

// Next lends the next batch, which is not empty. The Order of its datagrams
// counts the packet records of all files from 0, Mark is the Order of the first
// one of the next batch, and Now the largest time so far. It returns io.EOF
// after the last batch and after Close, and no other error.
func (f *Files) Next() (*packet.Batch, error) {
	b := f.take()
	if b == nil {
		return nil, io.EOF
	}
	n, l := 0, f.loans[b]
	b.Resize(f.batchLen)
	for ; n < f.batchLen && (f.pending || f.advance()); n++ {
		if f.pending = n > 0 && l.chunk != f.chunk; f.pending {
			break
		}
		if n == 0 {
			l.chunk = f.chunk
			l.chunk.users.Add(1)
		}
		f.fill(&b.Datagrams[n])
	}
	b.Resize(n)
	b.Mark, b.Now = f.order, f.now
	if n == 0 {
		f.free <- b
		return nil, io.EOF
	}
	return b, nil
}

// take waits for a free batch. It returns nil once f is closed.
func (f *Files) take() *packet.Batch {
	if f.isClosed() {
		return nil
	}
	select {
	case b := <-f.free:
		return b
	case <-f.closed:
		return nil
	}
}

// Release gives a batch back. Releasing a batch twice, or one of another
// source, panics.
func (f *Files) Release(b *packet.Batch) {
	l := f.loans[b]
	switch {
	case l == nil:
		panic("capture: released a batch of another source")
	case l.chunk == nil:
		panic("capture: released a batch twice")
	case f.poison:
		for i := range b.Datagrams {
			overwrite(b.Datagrams[i].Buf)
		}
	}
	f.drop(l.chunk)
	l.chunk = nil
	f.free <- b
}

// overwrite makes use after release show.
func overwrite(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}

// Close closes the file that is being read. It may be called from any
// goroutine, more than once; a Next that waits for a batch returns. Batches
// lent remain valid, and are released as usual. Standard input is the caller's:
// a Next that reads it goes on until that read ends.
func (f *Files) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.isClosed() {
		return nil
	}
	close(f.closed)
	if f.in == nil {
		return nil
	}
	return f.in.file.Close()
}

func (f *Files) isClosed() bool {
	select {
	case <-f.closed:
		return true
	default:
		return false
	}
}

// Progress returns how many bytes of the inputs, compressed as they are, have
// been read, and how many there are; total is -1 when an input's size is not
// known, as with standard input. It may be called from any goroutine.
func (f *Files) Progress() (read, total int64) {
	read = f.read.Load()
	if f.total >= 0 {
		read = min(read, f.total) // a file may have grown since
	}
	return read, f.total
}

// Err returns, after Next returned io.EOF, what was wrong with the files: an
// error for each damaged one with its path and the offset of the first record
// that could not be read, joined. It is nil when all were whole.
func (f *Files) Err() error { return errors.Join(f.errs...) }
