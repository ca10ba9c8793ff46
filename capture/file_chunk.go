package capture

import (
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
)

// chunkMargin is the room in front of a chunk's window, in which the Ethernet
// header of a first packet without one finds place. It is a cache line, so that
// the window begins with one.
const chunkMargin = 64

const _ = uint(chunkMargin - packet.EthernetLen)

// A chunk is memory that files are read into, and that datagrams point into.
type chunk struct {
	memory []byte       // chunkMargin, and a window
	users  atomic.Int32 // the lent batches that point into it, and the reader while it reads into it
}

func newChunk() *chunk { return &chunk{memory: make([]byte, chunkMargin+windowLen)} }

func (c *chunk) window() []byte { return c.memory[chunkMargin:] }

// renew gives the reader a chunk that no batch points into, the one it has if
// that is so, and returns its window.
//
// There is one free, or about to be: of the chunks, one more than there are
// batches, the other batches use one each, and the one that is being filled
// uses the chunk the reader has.
func (f *Files) renew() []byte {
	if f.chunk.users.Load() > 1 {
		next := <-f.chunks
		next.users.Store(1)
		f.drop(f.chunk)
		f.chunk = next
	}
	return f.chunk.window()
}

// drop says that a user of c has gone.
func (f *Files) drop(c *chunk) {
	if c.users.Add(-1) == 0 {
		f.chunks <- c
	}
}
