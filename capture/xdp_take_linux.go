package capture

import (
	"encoding/binary"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// maxLook bounds how many packets of one queue are handed over before the
// worker looks at something else.
const maxLook = stayBatches * batchLen

// take fills the batch from the own queues, and from what other workers hand
// over, in turn. It returns how many datagrams that are, and whether more are
// there.
func (s *xdpSource) take(now int64) (n int, more bool) {
	s.reclaim()
	s.batch.Resize(batchLen)
	offset := s.clock.offset()
	inputs := len(s.own) + len(s.from)
	promise := now - stampToQueue
	passed := int64(math.MaxInt64)
	for i := range inputs {
		var rest bool
		if i = (s.turn + i) % inputs; i < len(s.own) {
			n, rest = s.takeQueue(s.own[i], n, now, offset)
			promise = min(promise, s.own[i].mark)
			passed = min(passed, s.own[i].mark)
		} else if in := s.from[i-len(s.own)]; in != nil {
			n, rest = s.takeInbox(in, n, now, offset)
			promise = min(promise, in.mark)
		}
		more = more || rest
	}
	s.turn++
	s.mark = max(s.mark, promise)
	s.handOver(passed)
	return n, more
}

// takeQueue appends what is there of the queue to the n datagrams of the batch,
// or hands it over.
func (s *xdpSource) takeQueue(q *xdpQueue, n int, now, offset int64) (int, bool) {
	r := &q.filled
	ready := r.ready()
	last := int64(0)
	for look := 0; ready > 0 && n < batchLen && look < maxLook; look++ {
		first, length := len(s.used), 0
		for k := uint32(0); ; k++ {
			if k == ready { // a packet of which not all is there
				s.used = s.used[:first]
				r.pass()
				return n, false
			}
			d := *r.slot(r.at + k)
			length += int(d.Len)
			s.used = append(s.used, unix.XDPDesc{Addr: d.Addr, Len: d.Len, Options: q.number<<1 | d.Options&unix.XDP_PKT_CONTD})
			if d.Options&unix.XDP_PKT_CONTD == 0 {
				break
			}
		}
		parts := s.used[first:]
		r.at += uint32(len(parts))
		ready -= uint32(len(parts))
		d := &s.batch.Datagrams[n]
		s.datagram(d, parts, length, now, offset)
		last = d.Time
		if s.owner != nil && d.Reason == packet.None && s.handed(d, parts) {
			s.used = s.used[:first]
			continue
		}
		s.join(d, parts, n)
		n++
	}
	r.pass()
	switch {
	case ready > 0: // there is more, as old as the last one
		q.mark = max(q.mark, last-stampToQueue)
	case s.shut && now > s.quiet:
		q.mark = math.MaxInt64
	default:
		q.mark = max(q.mark, now-stampToQueue)
	}
	return n, ready > 0
}

// takeInbox appends what another worker handed over to the n datagrams of the
// batch.
func (s *xdpSource) takeInbox(in *inbox, n int, now, offset int64) (int, bool) {
	promised := in.promised.Load() // before the look
	r := &in.frames
	ready := r.ready()
	for ; ready > 0 && n < batchLen; n++ {
		first, length := len(s.used), 0
		for more := true; more; ready-- {
			h := r.slot(r.at)
			r.at++
			in.mark = max(in.mark, h.mark)
			length += int(h.Len)
			s.used = append(s.used, h.XDPDesc)
			more = h.Options&unix.XDP_PKT_CONTD != 0
		}
		d := &s.batch.Datagrams[n]
		s.datagram(d, s.used[first:], length, now, offset)
		s.join(d, s.used[first:], n)
	}
	r.pass()
	if ready == 0 {
		in.mark = max(in.mark, promised)
	}
	return n, ready > 0
}

// datagram reads a packet of so many bytes by the first of its parts, which has
// all headers.
func (s *xdpSource) datagram(d *packet.Datagram, parts []unix.XDPDesc, wire int, now, offset int64) {
	first := parts[0]
	umem := s.all[first.Options>>1].umem
	begin, end := first.Addr, first.Addr+uint64(first.Len)
	pkt := umem[begin:end:end]
	stamped := int64(binary.NativeEndian.Uint64(stamp(umem, begin)))
	ns := stamped + offset
	if age := now - ns; stamped == 0 || age < -stampAhead || age > stampBehind {
		s.noStamp()
		ns = now
	}
	var o outerHeader
	reason := s.ports.outer(&o, ethernet, pkt, wire)
	*d = packet.Datagram{Time: ns, Order: ns, Length: wire, Reason: reason}
	if reason != packet.None {
		return
	}
	stop := min(o.end, o.off+packet.MaxDatagram)
	d.Buf, d.Off = pkt[:stop:stop], o.off // an Ethernet and an IP header are more than Headroom
	d.Length, d.Source, d.Encap = o.length, o.source, o.encap
}

// A time in front of a packet that is further from the clock than this, in
// nanoseconds, is none. Nor is zero, which is when the machine started.
const (
	stampAhead  = int64(time.Second) // the clock was read a moment ago
	stampBehind = int64(time.Hour)
)

// stamp is where the program writes the time of the packet at an offset.
func stamp(umem []byte, packet uint64) []byte { return umem[packet-stampLen : packet] }

func (s *xdpSource) noStamp() {
	if !s.stampless {
		s.stampless = true
		s.log.Warn("the driver keeps no room for the time of a packet: it is when a batch of them was taken", "interface", s.name)
	}
}

// join copies a datagram that came in several parts together, into a slot of the
// slab.
func (s *xdpSource) join(d *packet.Datagram, parts []unix.XDPDesc, slot int) {
	if len(parts) == 1 || d.Reason != packet.None {
		return
	}
	b := s.slab[slot*ringSnap:][:0:ringSnap]
	for _, p := range parts {
		part := s.all[p.Options>>1].umem[p.Addr:][:p.Len]
		b = append(b, part[:min(len(part), cap(b)-len(b))]...)
	}
	end := min(d.Off+min(d.Length, packet.MaxDatagram), len(b))
	d.Buf = b[:end:end]
}

// monotonic is a moment on the clock that the program reads (CLOCK_MONOTONIC),
// which is also what package time keeps beside the time of day.
type monotonic struct {
	at time.Time
	ns int64
}

// readMonotonic reads both clocks, several times, since the thread may be held up
// in between.
func readMonotonic() (best monotonic, err error) {
	shortest := time.Duration(math.MaxInt64)
	for range 10 {
		var ts unix.Timespec
		at := time.Now()
		if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
			return best, err
		}
		if took := time.Since(at); took < shortest {
			shortest = took
			best = monotonic{at, ts.Nano()}
		}
	}
	return best, nil
}

// offset returns what to add for nanoseconds since 1970 UTC. Package time reads the
// time of day and the other clock one after the other, and the thread may be held up
// in between, but no longer than since the reading before: what counts is the reading
// that came soonest after another.
func (m monotonic) offset() (best int64) {
	shortest, last := time.Duration(math.MaxInt64), time.Now()
	for range 10 {
		now := time.Now()
		if took := now.Sub(last); took < shortest {
			shortest, best = took, now.UnixNano()-m.ns-int64(now.Sub(m.at))
		}
		if shortest < offsetError {
			break
		}
		last = now
	}
	return best
}

// offsetError is how wrong an offset may be without another try. Two readings take
// 0.1 us.
const offsetError = 5 * time.Microsecond
