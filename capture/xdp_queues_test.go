package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// A numbered datagram is one of a flow, in order.
//
// Behind the tunnel header it has a flow, a number within it, and what fills it
// up. Where it comes from is any outer port, so that it takes any queue.
func numbered(flow uint16, n uint32, size int, r *rand.Rand) []byte {
	payload := tunnel.AppendVXLAN(nil, 7)
	payload = binary.BigEndian.AppendUint16(payload, flow)
	payload = binary.BigEndian.AppendUint32(payload, n)
	payload = append(payload, bytes.Repeat([]byte{byte(n)}, size)...)
	pkt := outerFrame(tunnel.VXLANPort, payload)
	binary.BigEndian.PutUint16(pkt[34:], 0xff80|uint16(r.IntN(128)))
	return pkt
}

func flowOf(payload []byte) int {
	return int(binary.BigEndian.Uint16(payload[tunnel.VXLANLen:]))
}

// ownedBy says that flow f belongs to worker f modulo workers.
func ownedBy(workers int) func(*packet.Datagram) int {
	return func(d *packet.Datagram) int { return flowOf(d.Buf[d.Off:]) % workers }
}

// Every flow stays on its worker, whole and in order, whatever queues its
// packets come by, and all buffers come back.
func TestXDPHandsFlowsOverToTheirWorkers(t *testing.T) {
	for _, tt := range []struct{ queues, workers, size int }{
		{4, 1, 100}, {4, 2, 100}, {4, 4, 100}, {2, 4, 100}, {1, 4, 100}, {3, 2, 100}, {4, 4, 8900}, {4, 2, 8900},
	} {
		t.Run(fmt.Sprintf("%d queues, %d workers, %d bytes", tt.queues, tt.workers, tt.size), func(t *testing.T) {
			const flows, rounds, burst = 50, 30, 100
			r := rand.New(rand.NewPCG(1, 2))
			w := newQueues(t, 9100, tt.queues, tt.queues)
			x := w.xdp(XDPConfig{Workers: tt.workers, Owner: ownedBy(tt.workers), Frames: 1024})
			if len(x.queues) != tt.queues {
				t.Fatalf("%d queues", len(x.queues))
			}
			var sent, got [flows]uint32
			byQueue := make(map[uint32]bool)
			for range rounds {
				for range burst {
					f := r.IntN(flows)
					w.send(numbered(uint16(f), sent[f], tt.size, r))
					sent[f]++
				}
				for worker, list := range spread(t, x.Sources(), burst) {
					for _, d := range list {
						f := flowOf(d.payload)
						n := binary.BigEndian.Uint32(d.payload[tunnel.VXLANLen+2:])
						if f%tt.workers != worker {
							t.Fatalf("flow %d on worker %d", f, worker)
						}
						// Packets of a flow by several queues are as their
						// program runs: queues have no order among them.
						if tt.queues == 1 && n != got[f] {
							t.Fatalf("flow %d: datagram %d, want %d", f, n, got[f])
						}
						if d.Length != tunnel.VXLANLen+6+tt.size || bytes.Count(d.payload, []byte{byte(n)}) < tt.size {
							t.Fatalf("flow %d, datagram %d: %d bytes", f, n, d.Length)
						}
						got[f]++
					}
				}
				for _, q := range x.queues {
					byQueue[q.number] = byQueue[q.number] || q.filled.at > 0
				}
			}
			for number, used := range byQueue {
				if !used {
					t.Errorf("queue %d was not used", number)
				}
			}
			if got != sent || x.Lost() != 0 {
				t.Errorf("got %v, sent %v, %d lost", got, sent, x.Lost())
			}
			for _, s := range x.sources {
				s.reclaim()
				for i, to := range s.to {
					if to != nil && to.held != 0 {
						t.Errorf("worker %d has %d buffers of worker %d", i, to.held, s.worker)
					}
				}
			}
		})
	}
}

// One flow takes one queue, as long as its outer port stays; its order is kept
// on the way to the worker, also while all of them run.
func TestXDPKeepsTheOrderOfFlows(t *testing.T) {
	const flows, total = 64, 8_000 // there is room for all, however late a worker comes
	w := newQueues(t, 1500, 4, 4)
	x := w.xdp(XDPConfig{Workers: 2, Owner: ownedBy(2), Frames: 8192})
	var wg sync.WaitGroup
	var got [2]map[int]uint32
	type place struct {
		flow int
		n    uint32
	}
	var below [2][]place // the mark of an earlier batch
	for i, s := range x.Sources() {
		got[i] = make(map[int]uint32)
		wg.Go(func() {
			mark := int64(0)
			for {
				b, err := s.Next()
				if err == io.EOF {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				if b.Mark < mark {
					t.Errorf("mark %d after %d", b.Mark, mark)
				}
				for _, d := range b.Datagrams {
					payload := d.Buf[d.Off:]
					f, n := flowOf(payload), binary.BigEndian.Uint32(payload[tunnel.VXLANLen+2:])
					if d.Order < mark {
						below[i] = append(below[i], place{f, n})
					}
					if d.Reason != packet.None || n != got[i][f] {
						t.Errorf("flow %d: datagram %d, want %d; reason %v", f, n, got[i][f], d.Reason)
						got[i][f] = n
					}
					got[i][f]++
				}
				mark = b.Mark
				s.Release(b)
			}
		})
	}
	var sent [flows]uint32
	held := make(map[place]bool) // up while the kernel had it, for longer than marks allow for
	r := rand.New(rand.NewPCG(1, 2))
	for range total {
		f := r.IntN(flows)
		pkt := numbered(uint16(f), sent[f], 100, r)
		binary.BigEndian.PutUint16(pkt[34:], 0xff80|uint16(f))
		before := time.Now()
		w.send(pkt)
		held[place{f, sent[f]}] = int64(time.Since(before)) >= stampToQueue
		sent[f]++
	}
	x.Stop()
	wg.Wait()
	var arrived uint64
	for f, n := range sent {
		if got[f%2][f] != n && x.Lost() == 0 {
			t.Errorf("flow %d: %d of %d", f, got[f%2][f], n)
		}
		arrived += uint64(got[f%2][f])
	}
	if arrived+x.Lost() != total || x.Lost() != 0 {
		t.Errorf("%d arrived, %d lost, of %d", arrived, x.Lost(), total)
	}
	for _, p := range append(below[0], below[1]...) {
		if !held[p] {
			t.Errorf("flow %d: datagram %d is below the mark of an earlier batch", p.flow, p.n)
		}
	}
}

// What a worker may not hold of another is accounted for by the one that read
// it, and does not keep up its own.
func TestXDPNamesWhatItCannotHandOver(t *testing.T) {
	const frames, sent = 128, 100
	r := rand.New(rand.NewPCG(1, 2))
	w := newWire(t)
	x := w.xdp(XDPConfig{Workers: 2, Owner: ownedBy(2), Frames: frames})
	first, second := x.Sources()[0], x.Sources()[1]
	for i := range uint32(sent) {
		w.send(numbered(1, i, 100, r)) // of the second, by the queue of the first
	}
	refused := 0
	for refused < sent-frames/2 {
		b, err := first.Next()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range b.Datagrams {
			if d.Reason != packet.QueueFull || d.Length != tunnel.VXLANLen+6+100 {
				t.Fatalf("datagram of another: %+v", d)
			}
			refused++
		}
		first.Release(b)
	}
	w.send(numbered(2, 0, 100, r))
	if d := collect(t, first, 1)[0]; d.Reason != packet.None {
		t.Errorf("its own: %+v", d)
	}
	if got := len(collect(t, second, frames/2)); got != frames/2 {
		t.Errorf("%d handed over, want %d", got, frames/2)
	}
	w.send(numbered(1, 0, 100, r)) // room again
	b, err := first.Next()
	if err != nil || len(b.Datagrams) != 0 {
		t.Fatalf("%d datagrams, %v", len(b.Datagrams), err)
	}
	first.Release(b)
	if d := collect(t, second, 1)[0]; d.Reason != packet.None || x.Lost() != 0 {
		t.Errorf("%+v, %d lost", d, x.Lost())
	}
}

// A worker that waits is woken by what it is handed.
func TestXDPHandingOverWakes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	w := newWire(t)
	x := w.xdp(XDPConfig{Workers: 2, Owner: ownedBy(2)})
	first, second := x.sources[0], x.sources[1]
	for range 3 {
		now := time.Now().UnixNano()
		if b, err := second.poll(now); b != nil || err != nil {
			t.Fatal(b, err)
		}
		w.send(numbered(1, 0, 100, r))
		for second.asleep.Load() {
			b, err := first.Next()
			if err != nil {
				t.Fatal(err)
			}
			first.Release(b)
		}
		polls := second.descriptors()
		if i := arrived(polls[len(polls)-1:]); i != 0 {
			t.Fatal("the worker is not woken")
		}
		if err := second.woken(polls); err != nil {
			t.Fatal(err)
		}
		if got := collect(t, second, 1); flowOf(got[0].payload) != 1 {
			t.Error("another datagram")
		}
	}
}

// The mark of a worker holds for what others hand over to it: it does not pass
// what they have not looked at.
func TestXDPMarkWaitsForOtherWorkers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	w := newWire(t)
	x := w.xdp(XDPConfig{Workers: 2, Owner: ownedBy(2)})
	first, second := x.Sources()[0], x.Sources()[1]
	next := func(s Source) (mark int64, orders []int64) {
		b, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Release(b)
		for _, d := range b.Datagrams {
			orders = append(orders, d.Order)
		}
		return b.Mark, orders
	}
	next(first)
	w.send(numbered(1, 0, 100, r))
	mark, orders := next(second)
	if len(orders) != 0 {
		t.Fatal("a datagram that nobody handed over")
	}
	next(first)
	later, orders := next(second)
	if len(orders) != 1 || orders[0] < mark || later < mark {
		t.Errorf("orders %v, marks %d and %d", orders, mark, later)
	}
	for range 3 { // idle: the mark follows the clock
		before := time.Now().UnixNano()
		next(first)
		mark, _ = next(second)
		if behind := before - mark; behind > stampToQueue || mark < later {
			t.Errorf("the mark is %d ns behind", behind)
		}
	}
}
