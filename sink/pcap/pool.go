package pcap

import (
	"sync"
	"sync/atomic"
)

const (
	// reserve is how many chunks nobody can take from a worker: one to fill
	// while the other is written.
	reserve = 2

	// chunksPerWorker is how many chunks there are, live, for each worker if
	// Config.Buffer allows for it, by making them smaller. Of a worker with
	// little traffic the writer takes a chunk every round, which waits for the
	// window if another worker lags: 7 chunks, in none of which there is much.
	chunksPerWorker = 16

	// chunkMost and chunkLeast bound the records of a chunk, in bytes. Every
	// frame fits an empty chunk, so in replay, where a file may hold any frame,
	// only the first will do. Live no frame is longer than liveSnap.
	chunkMost  = recordHeader + MaxSnap
	chunkLeast = recordHeader + liveSnap

	// liveSnap is more than any frame out of a datagram: the length in the UDP
	// header has 16 bits (RFC 768).
	liveSnap = 1 << 16

	// perEntry is the bytes of records for which there is an entry. A chunk of
	// shorter records is full before its bytes are.
	perEntry = 128

	entryBytes = 32 // of an entry, on 64-bit machines

	// replayBuffer is the most memory in replay. Nothing is lost there when it
	// is full, and as little as this stays in the processor's cache: with 128
	// MiB a replay takes a fifth more processor time.
	replayBuffer = 8 << 20
)

// chunkCost is what a chunk for n bytes of records takes of Config.Buffer: with
// the most, 256 KiB of records and 64 KiB of entries. The default of 128 MiB is
// 409 of those, or 107 MB of records, 15 % less where lanes leave gaps: 0.7 to 0.9 s
// of traffic at 1 Gbit/s.
func chunkCost(n int) int64 { return int64(n) + int64(n/perEntry)*entryBytes }

// chunkSize returns how many bytes of records a chunk holds.
func chunkSize(c *Config) int {
	if c.Replay {
		return chunkMost
	}
	share := c.Buffer / int64(c.Workers) / chunksPerWorker
	return int(min(max(share*perEntry/(perEntry+entryBytes), chunkLeast), chunkMost))
}

// A pool holds the chunks that nobody uses: one stack for all workers, so that
// one busy worker can have all but the reserves of the others, and the chunk
// that is used next is the one whose memory was touched last. Its lock is taken
// once a chunk, not once a frame.
type pool struct {
	total   int   // chunks
	shared  int   // of those, beyond the reserves
	cost    int64 // of a chunk
	spare   atomic.Int64
	returns atomic.Uint64 // how often chunks came back

	mu   sync.Mutex
	free []*chunk
	held []int // by worker: taken and not back
}

// newPool makes as many chunks as c.Buffer allows, and at least the reserves:
// 640 KiB a worker in replay. Live it is at least twice the reserves, 320 KiB a
// worker, so that there is something to share.
func newPool(c *Config) *pool {
	size := chunkSize(c)
	least := reserve * c.Workers
	if !c.Replay {
		least *= 2
	}
	total := max(least, int(c.Buffer/chunkCost(size)))
	p := &pool{
		total:  total,
		shared: total - reserve*c.Workers,
		cost:   chunkCost(size),
		free:   make([]*chunk, total),
		held:   make([]int, c.Workers),
	}
	p.spare.Store(int64(p.shared))
	p.returns.Store(1)
	// Two allocations for all: pages are only touched when used.
	n := size / perEntry
	data := make([]byte, total*size)
	entries := make([]entry, total*n)
	chunks := make([]chunk, total)
	for i := range chunks {
		chunks[i].data = data[i*size : i*size : (i+1)*size]
		chunks[i].entries = entries[i*n : i*n : (i+1)*n]
		p.free[i] = &chunks[i]
	}
	return p
}

// take returns a chunk for the worker, or nil if it has its reserve and there is
// nothing left to share.
func (p *pool) take(worker int) *chunk {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[worker] >= reserve {
		if p.spare.Load() == 0 {
			return nil
		}
		p.spare.Add(-1)
	}
	p.held[worker]++
	last := len(p.free) - 1
	c := p.free[last]
	p.free = p.free[:last]
	c.worker = worker
	return c
}

// put takes chunks back, which are empty.
func (p *pool) put(chunks []*chunk) {
	p.mu.Lock()
	for _, c := range chunks {
		p.held[c.worker]--
		if p.held[c.worker] >= reserve {
			p.spare.Add(1)
		}
		p.free = append(p.free, c)
	}
	p.mu.Unlock()
	p.returns.Add(1)
}

// scarce reports whether no more than one in n of the chunks to be shared is
// left. coming are on their way back.
func (p *pool) scarce(n, coming int) bool {
	return (int(p.spare.Load())+coming)*n <= p.shared
}

// used returns the bytes of the chunks that are taken.
func (p *pool) used() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.total-len(p.free)) * p.cost
}
