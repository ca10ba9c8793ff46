package hec

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// A packer compresses one body at a time into its own memory.
type packer struct {
	buf bytes.Buffer
	zw  *gzip.Writer
}

// maxPacked is the largest buffer that is kept for the next request. There is one
// for each request that is out; 900 KB of flow events take 60 KB.
const maxPacked = 1 << 20

var packers = sync.Pool{New: func() any {
	zw, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return &packer{zw: zw}
}}

// pack returns the body of events compressed, in memory that is valid until
// release.
func (p *packer) pack(events [][]byte) ([]byte, error) {
	p.buf.Reset()
	p.zw.Reset(&p.buf)
	for i, e := range events {
		if i > 0 {
			p.zw.Write(newline) // it keeps its error for what follows
		}
		if _, err := p.zw.Write(e); err != nil {
			return nil, err
		}
	}
	if err := p.zw.Close(); err != nil {
		return nil, err
	}
	return p.buf.Bytes(), nil
}

func (p *packer) release() {
	if p.buf.Cap() <= maxPacked {
		packers.Put(p)
	}
}

// A wireBody is the body of a request. The transport may read on after it has
// returned the answer; Close ends that, so that the bytes can be used again.
type wireBody struct {
	mu   sync.Mutex
	left []byte
	sent bool // some of it was read
}

func (b *wireBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, b.left)
	b.left, b.sent = b.left[n:], true
	return n, nil
}

func (b *wireBody) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = nil
	return nil
}

func (b *wireBody) started() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sent
}
