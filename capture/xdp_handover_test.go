package capture

import (
	"math/bits"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

func TestHandoverRoom(t *testing.T) {
	for _, tt := range []struct{ frames, workers, want int }{
		{128, 2, 64}, {16384, 2, 8192}, {16384, 3, 4096}, {16384, 4, 2048}, {16384, 5, 2048}, {16384, 6, 1024},
		{16384, 256, 32}, {262144, 256, 512},
		{128, 9, 8}, {128, 17, 4}, {128, 18, 4}, {128, 256, 4}, // a packet's buffers, at the least
	} {
		if got := handoverRoom(tt.frames, tt.workers); got != tt.want {
			t.Errorf("%d frames, %d workers: %d, want %d", tt.frames, tt.workers, got, tt.want)
		}
	}
	if longestPacket*bufferRoom < ringSnap {
		t.Errorf("a packet of %d bytes takes more than %d buffers", ringSnap, longestPacket)
	}
}

// However many workers there are, they leave half of a queue, and the rings of
// each take no more than those of two.
func TestHandoverRoomIsLinear(t *testing.T) {
	for workers := 2; workers <= 256; workers++ {
		room := handoverRoom(defaultFrames, workers)
		if (workers-1)*room > defaultFrames/2 || bits.OnesCount(uint(room)) != 1 {
			t.Errorf("%d workers: %d for each", workers, room)
		}
	}
}

// All other workers together leave half of the buffers to the queue's own.
func TestXDPKeepsHalfOfItsBuffers(t *testing.T) {
	const frames, sent = 128, 100
	r := rand.New(rand.NewPCG(1, 2))
	w := newWire(t)
	x := w.xdp(XDPConfig{Workers: 3, Owner: ownedBy(3), Frames: frames})
	s := x.Sources()[0]
	for i := range uint32(sent) {
		w.send(numbered(uint16(1+i%2), i, 100, r))
	}
	refused := 0
	for n := -1; n != 0; {
		b, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		n = len(b.Datagrams)
		refused += n
		s.Release(b)
	}
	if refused != sent-frames/2 {
		t.Errorf("%d of %d were not handed over, want %d", refused, sent, sent-frames/2)
	}
	for i := range uint32(frames / 2) {
		w.send(numbered(0, i, 100, r))
	}
	for i, d := range collect(t, s, frames/2) {
		if d.Reason != packet.None {
			t.Errorf("its own %d: %+v", i, d)
		}
	}
	if x.Lost() != 0 {
		t.Errorf("%d lost", x.Lost())
	}
}

// What was handed over to a worker that does not run any more is lost, however
// many buffers it takes.
func TestXDPCountsWhatNobodyTakesOver(t *testing.T) {
	const sent = 10
	r := rand.New(rand.NewPCG(1, 2))
	w := newWire(t)
	x := w.xdp(XDPConfig{Workers: 2, Owner: ownedBy(2)})
	for i := range uint32(sent) {
		w.send(numbered(1, i, 100+8800*int(i%2), r))
	}
	for x.sources[1].from[0].frames.ready() < sent/2*4 { // 1 buffer and 3 in turn
		b, err := x.sources[0].Next()
		if err != nil {
			t.Fatal(err)
		}
		x.sources[0].Release(b)
	}
	for range 2 {
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		if x.Lost() != sent {
			t.Errorf("%d lost, want %d", x.Lost(), sent)
		}
	}
}

// An error that poll tells of is looked at before the next wait, or that would
// not wait.
func TestXDPLooksAtAnErrorAtOnce(t *testing.T) {
	s := &xdpSource{own: make([]*xdpQueue, 2), event: -1}
	for _, tt := range []struct {
		events [2]int16
		want   int64
	}{{[2]int16{unix.POLLIN, 0}, 1}, {[2]int16{0, unix.POLLERR}, 0}, {[2]int16{unix.POLLIN | unix.POLLERR, 0}, 0}} {
		s.nextCheck = 1
		if err := s.woken([]pollFD{{Revents: tt.events[0]}, {Revents: tt.events[1]}}); err != nil || s.nextCheck != tt.want {
			t.Errorf("%v: next check at %d, want %d; %v", tt.events, s.nextCheck, tt.want, err)
		}
	}
}
