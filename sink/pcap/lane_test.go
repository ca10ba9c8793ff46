package pcap

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

func newChunk(size int) *chunk {
	return &chunk{data: make([]byte, 0, size), entries: make([]entry, 0, size/perEntry)}
}

// fill adds frames of the sessions in turn, of lengths that next gives, until
// one does not fit. It returns them.
func fill(c *chunk, sessions int, next func() int) (frames [][]byte) {
	for i := 0; ; i++ {
		f := packet.Frame{Session: &packet.Session{ID: uint32(i % sessions)}}
		data := bytes.Repeat([]byte{byte(i)}, next())
		if !c.fits(f.Session, len(data)) {
			return frames
		}
		c.add(&f, data)
		frames = append(frames, data)
	}
}

// Records of sessions that come in turn lie apart, those of one session back to
// back, and none in another. A chunk holds most of what it could.
func TestLanes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sizes := func() int { return []int{64, 594, 1514, 0}[random.IntN(4)] }
	for _, tt := range []struct {
		name     string
		size     int
		sessions int
		next     func() int
		pieces   int // at most
		full     int // percent at least
	}{
		{"one session", chunkMost, 1, sizes, 1, 99},
		{"two", chunkMost, 2, sizes, 60, 88},
		{"16", chunkMost, 16, sizes, 100, 82},
		{"as many as lanes", chunkMost, numLanes, sizes, 170, 82},
		{"one more", chunkMost, numLanes + 1, sizes, 170, 82},
		{"many in the smallest chunk", chunkLeast, 1000, sizes, 200, 80},
		{"frames longer than a block", chunkMost, 16, func() int { return 9000 }, 29, 95},
		{"the longest frames", chunkMost, 2, func() int { return MaxSnap / 2 }, 2, 50},
		{"empty frames", chunkMost, numLanes, func() int { return 0 }, numLanes, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newChunk(tt.size)
			for range 2 { // the second time after reset
				frames := fill(c, tt.sessions, tt.next)
				if len(frames) != len(c.entries) {
					t.Fatalf("%d entries for %d frames", len(c.entries), len(frames))
				}
				var used, pieces int
				ends := make(map[uint32]uint32) // of the latest record, by lane
				for i, e := range c.entries {
					record := c.data[e.offset : e.offset+e.length]
					if !bytes.Equal(record[recordHeader:], frames[i]) {
						t.Fatalf("record %d was overwritten", i)
					}
					lane := e.session.ID % numLanes
					if end, ok := ends[lane]; !ok || end != e.offset {
						pieces++
					}
					ends[lane] = e.offset + e.length
					used += len(record)
				}
				if pieces > tt.pieces || used*100 < tt.size*tt.full {
					t.Errorf("%d frames in %d pieces, %d%% of the chunk", len(frames), pieces, used*100/tt.size)
				}
				c.reset()
			}
		})
	}
}
