package capture

import (
	"fmt"
	"math"
	"net"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// An outbox is what a worker hands over to another, an inbox the other's end of
// it. Packets go one way, their buffers come back the other way.
//
// Both rings have half as many slots as a queue has buffers, since the other
// worker never has more than that: 320 KiB for each pair of workers, one way, at
// 16,384 buffers.
type outbox struct {
	frames ring[handed]
	back   ring[unix.XDPDesc]
	held   int // descriptors that did not come back
	peer   *xdpSource
}

type inbox struct {
	frames   ring[handed]
	back     ring[unix.XDPDesc]
	promised *atomic.Int64 // by the other worker
	mark     int64         // nothing older comes
}

// A handed is a descriptor, with the queue in its options, and what was promised
// when it was handed over.
type handed struct {
	unix.XDPDesc
	mark int64
}

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
		to.frames.put(handed{p, mark})
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
	for i := range cfg.Workers {
		s := &xdpSource{
			name: device.Name, ports: ports, log: cfg.Log, clock: clock, worker: i, sockets: x.sockets, event: -1, nap: napOf(cfg.Frames),
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
				s.connect(peer, cfg.Frames/2)
			}
		}
	}
	return nil
}

// connect makes the rings by which s hands over to peer.
func (s *xdpSource) connect(peer *xdpSource, room int) {
	to := &outbox{peer: peer}
	in := &inbox{promised: &s.passed, mark: math.MinInt64}
	to.frames, in.frames = newRing[handed](room)
	in.back, to.back = newRing[unix.XDPDesc](room)
	s.to[peer.worker], peer.from[s.worker] = to, in
}

func (s *xdpSource) close() error {
	s.ended = true
	if s.event < 0 {
		return nil
	}
	err := unix.Close(s.event)
	s.event = -1
	return err
}
