package pcap

import (
	"fmt"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// The bound holds but for the reserves, every frame fits, and one worker can
// have all but the reserves of the others.
func TestPool(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		workers int
		buffer  int64
		replay  bool
		size    int   // of a chunk
		limit   int64 // the most memory
	}{
		{1, 128 * mib, false, chunkMost, 128 * mib},
		{16, 128 * mib, false, chunkMost, 128 * mib},
		{64, 128 * mib, false, 104857, 128 * mib},
		{192, 128 * mib, false, chunkLeast, 128 * mib},
		{16, 4 * mib, false, chunkLeast, 16 * 328 * 1024},
		{192, 4 * mib, false, chunkLeast, 192 * 328 * 1024},
		{1, 1, false, chunkLeast, 328 * 1024},
		{1, 128 * mib, true, chunkMost, 8 * mib},
		{192, 128 * mib, true, chunkMost, 192 * 656 * 1024},
		{16, 4 * mib, true, chunkMost, 16 * 656 * 1024},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d workers, %d bytes, replay %v", tt.workers, tt.buffer, tt.replay), func(t *testing.T) {
			c := Config{Dir: "d", Workers: tt.workers, Buffer: tt.buffer, Replay: tt.replay}
			c.setDefaults()
			p := newPool(&c)
			bytes := int64(p.total) * p.cost
			if bytes > tt.limit || tt.buffer == tt.limit && bytes < tt.limit-p.cost {
				t.Errorf("%d bytes, want %d or up to one chunk less", bytes, tt.limit)
			}
			var all []*chunk
			longest := make([]byte, min(tt.size-recordHeader, MaxSnap))
			for c := p.take(0); c != nil; c = p.take(0) {
				all = append(all, c)
				if cap(c.data) != tt.size || cap(c.entries) != tt.size/perEntry || !c.fits(new(packet.Session), len(longest)) {
					t.Fatalf("a chunk of %d bytes and %d entries", cap(c.data), cap(c.entries))
				}
			}
			all[0].add(&packet.Frame{Session: new(packet.Session)}, longest)
			all[0].reset()
			if want := p.total - reserve*(tt.workers-1); len(all) != want {
				t.Errorf("one worker gets %d of %d chunks, want %d", len(all), p.total, want)
			}
			for w := 1; w < tt.workers; w++ {
				a, b := p.take(w), p.take(w)
				if a == nil || b == nil || p.take(w) != nil {
					t.Fatalf("worker %d does not get its reserve, or more", w)
				}
				all = append(all, a, b)
			}
			if p.used() != bytes {
				t.Errorf("%d bytes in use, want all %d", p.used(), bytes)
			}
			p.put(all)
			if p.used() != 0 || int(p.spare.Load()) != p.shared {
				t.Errorf("with all back %d bytes in use, %d of %d chunks to be shared", p.used(), p.spare.Load(), p.shared)
			}
		})
	}
}

// A worker that got no chunk asks for one again as soon as one came back, and
// not before.
func TestRefusedUntilReturn(t *testing.T) {
	c := Config{Dir: "d", Buffer: 1}
	c.setDefaults()
	s := newSink(&c)
	w := &s.workers[0]
	f := packet.Frame{Session: new(packet.Session)}
	for s.renew(w) {
		w.chunk.fits(f.Session, 0)
		w.chunk.add(&f, nil)
	}
	handed := len(s.ready)
	if handed != s.pool.total || s.renew(w) || w.refused != s.pool.returns.Load() {
		t.Errorf("%d of %d chunks handed over; refused at %d", handed, s.pool.total, w.refused)
	}
	back := <-s.ready
	back.reset()
	s.pool.put([]*chunk{back})
	if !s.renew(w) || w.chunk != back {
		t.Error("the chunk that came back is not taken")
	}
}

// Live a frame longer than any datagram is cut, and fits the smallest chunk.
func TestLiveFramesFit(t *testing.T) {
	c := Config{Dir: "d", Workers: 192}
	c.setDefaults()
	s := newSink(&c)
	f := packet.Frame{Data: make([]byte, 1<<17), Session: new(packet.Session)}
	s.Offer(0, &f)
	if got := len(s.workers[0].chunk.data); got != recordHeader+liveSnap {
		t.Errorf("a record of %d bytes, want %d", got, recordHeader+liveSnap)
	}
}
