package capture

import (
	"fmt"
	"math"
	"math/bits"
	"net"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// An outbox is what a worker hands over to another, an inbox the other's end of
// it. Packets go one way, their buffers come back the other way.
//
// Both rings have [handoverRoom] slots, since the other worker never has more
// buffers than that.
type outbox struct {
	frames ring[parcel]
	back   ring[unix.XDPDesc]
	held   int // descriptors that did not come back
	peer   *xdpSource
}

type inbox struct {
	frames   ring[parcel]
	back     ring[unix.XDPDesc]
	promised *atomic.Int64 // by the other worker
	mark     int64         // nothing older comes
}

// A parcel is a descriptor, with the queue in its options, and what was promised
// when it was handed over.
type parcel struct {
	unix.XDPDesc
	mark int64
}

// handoverRoom returns how many buffers of a worker another may hold, where a
// queue has so many: the largest power of two of which all others together hold
// at most half a queue, so that half is left for the queue's own. A descriptor
// takes 24 bytes on its way and 16 on the way back: 40 x 16,384/2 = 320 KiB a
// worker at the most, for however many there are, at 16,384 buffers; with
// 256 workers each pair has 32. The ends of its rings are another 640 bytes.
//
// It is never less than what the longest packet takes, or none could be handed
// over; only queues of less than 8 buffers a worker have no half left then.
func handoverRoom(frames, workers int) int {
	return max(longestPacket, 1<<bits.Len(uint(frames/2/(workers-1)))>>1)
}

// longestPacket is how many buffers a packet of [ringSnap] bytes takes, as a
// power of two.
const longestPacket = 4

// handed hands a datagram over to the worker it belongs to, if that is another,
// and reports whether it did. If that one holds too many already, the datagram
// says so.
func (s *xdpSource) handed(d *packet.Datagram, parts []unix.XDPDesc) bool {
	to := s.to[s.owner(d)]
	if to == nil {
		return false
	}
	if to.held+len(parts) > len(to.frames.slots) {
		d.Reason = packet.QueueFull
		return false
	}
	mark := s.passed.Load()
	for _, p := range parts {
		to.frames.put(parcel{p, mark})
	}
	to.held += len(parts)
	return true
}

// handOver tells the other workers of what they were handed, then what they can
// rely on from now on, and wakes those that found nothing.
func (s *xdpSource) handOver(passed int64) {
	for _, to := range s.to {
		if to != nil {
			to.frames.tell()
		}
	}
	s.passed.Store(passed)
	for _, to := range s.to {
		if to != nil && to.frames.at != atomic.LoadUint32(to.frames.consumer) && to.peer.asleep.CompareAndSwap(true, false) {
			one := [8]byte{1}
			unix.Write(to.peer.event, one[:])
		}
	}
}

// reclaim gives buffers that came back to the kernel.
func (s *xdpSource) reclaim() {
	for _, to := range s.to {
		if to == nil {
			continue
		}
		for n := to.back.ready(); n > 0; n-- {
			d := to.back.slot(to.back.at)
			s.all[d.Options>>1].fill.put(d.Addr)
			to.back.at++
			to.held--
		}
		to.back.pass()
	}
	if s.to != nil {
		s.refill()
	}
}

// openSources makes the sources, and the rings between them.
func (x *XDP) openSources(device *net.Interface, ports tunnelPorts, cfg XDPConfig, several bool) error {
	clock, err := readMonotonic()
	if err != nil {
		return err
	}
	room := cfg.Frames / 2
	if cfg.Workers > 1 {
		room = handoverRoom(cfg.Frames, cfg.Workers)
	}
	for i := range cfg.Workers {
		s := &xdpSource{
			name: device.Name, ports: ports, log: cfg.Log, clock: clock, worker: i, sockets: x.sockets, event: -1, nap: napOf(2 * room),
			all: x.queues, batch: packet.NewBatch(batchLen), used: make([]unix.XDPDesc, 0, batchLen),
		}
		if several {
			s.slab = make([]byte, batchLen*ringSnap)
		}
		s.passed.Store(math.MinInt64)
		x.sources = append(x.sources, s)
	}
	for _, q := range x.queues {
		q.mark = math.MinInt64
		s := x.sources[q.worker]
		s.own = append(s.own, q)
		s.polls = append(s.polls, pollFD{Fd: int32(q.fd), Events: unix.POLLIN})
	}
	if cfg.Workers == 1 {
		return nil
	}
	for _, s := range x.sources {
		s.owner = cfg.Owner
		s.to, s.from = make([]*outbox, cfg.Workers), make([]*inbox, cfg.Workers)
		if s.event, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
			return fmt.Errorf("eventfd: %w", err)
		}
		s.polls = append(s.polls, pollFD{Fd: int32(s.event), Events: unix.POLLIN})
	}
	for i, s := range x.sources {
		for j, peer := range x.sources {
			if i != j {
				s.connect(peer, room)
			}
		}
	}
	return nil
}

// connect makes the rings by which s hands over to peer.
func (s *xdpSource) connect(peer *xdpSource, room int) {
	to := &outbox{peer: peer}
	in := &inbox{promised: &s.passed, mark: math.MinInt64}
	to.frames, in.frames = newRing[parcel](room)
	in.back, to.back = newRing[unix.XDPDesc](room)
	s.to[peer.worker], peer.from[s.worker] = to, in
}

// close counts as lost what others handed over and nobody lent, since a source
// failed or was not read to its end.
func (s *xdpSource) close() error {
	s.ended = true
	for _, in := range s.from {
		if in == nil {
			continue
		}
		for n := in.frames.ready(); n > 0; n-- {
			p := in.frames.slot(in.frames.at)
			in.frames.at++
			if p.Options&unix.XDP_PKT_CONTD == 0 {
				s.all[p.Options>>1].lost.Add(1)
			}
		}
	}
	if s.event < 0 {
		return nil
	}
	err := unix.Close(s.event)
	s.event = -1
	return err
}
