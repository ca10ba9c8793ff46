package flow

import (
	"math"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// TCP flags (RFC 9293, section 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	_
	flagACK
)

const (
	// reordering is how long in µs a segment may come late, or after its
	// acknowledgement, for no other reason than that packets changed places.
	reordering = uint32(3 * time.Millisecond / time.Microsecond)

	// belief is how far in bytes a sequence number or acknowledgement may jump
	// ahead to be taken at its word. Further ones have to be confirmed.
	belief = 1 << 20

	// reach is how far they may be away to be of the connection: the largest
	// window (RFC 7323, section 2.3).
	reach = 1 << 30
)

// restarts reports whether a frame begins a new connection on the ports of one
// that ended.
func (e *entry) restarts(st *staged) bool {
	return st.whole && (e.marks[0]|e.marks[1])&(fin|reset) != 0 &&
		st.flags&(flagSYN|flagACK|flagFIN|flagRST) == flagSYN
}

// initiator returns the end that started the flow of which this is the first
// frame: who sent the SYN, or who is sent a SYN-ACK. Of a TCP connection that
// was there before, it is who talks to a port below 1024, if only one is. Else
// it is the sender.
func (st *staged) initiator() uint8 {
	if st.frame.Header.Protocol != packet.ProtocolTCP {
		return st.sender
	}
	switch st.flags & (flagSYN | flagACK) {
	case flagSYN:
		return st.sender
	case flagSYN | flagACK:
		return st.sender ^ 1
	}
	if low := st.port[0] < 1024; low != (st.port[1] < 1024) {
		if low {
			return 1
		}
		return 0
	}
	return st.sender
}

// follow keeps track of a TCP connection, entry i.
func (s *shard) follow(i uint32, e *entry, st *staged) {
	if st.frame.Header.Protocol != packet.ProtocolTCP {
		return
	}
	end, flags := st.sender&1, st.flags
	if flags&flagRST != 0 {
		e.marks[end] |= reset
	} else if st.whole {
		e.shake(st, flags)
		s.segment(e, st, flags)
		if flags&flagACK != 0 {
			s.acknowledge(e, st, flags)
		}
	} else {
		// A fragment hides how long its segment is.
		e.marks[end] &^= synced
		s.gaps.drop(&e.side[end].gaps)
	}
	if flags&flagFIN != 0 {
		e.marks[end] |= fin
	}
	if e.kind != closed && ((e.marks[0]|e.marks[1])&reset != 0 || e.marks[0]&e.marks[1]&fin != 0) {
		s.move(i, closed)
	}
	if e.side[0].gaps|e.side[1].gaps != 0 {
		s.settle(&e.side[0], st.time, false)
		s.settle(&e.side[1], st.time, false)
	}
}

// segment compares a segment with what its sender sent before.
//
// What it leaves out is a gap until it is filled or acknowledged. What fills a
// gap sooner than a retransmission could have come, which takes a round trip,
// is out of order; what fills it later, or was seen before, is retransmitted. A
// byte that is sent again and again to see whether the other end is there is
// neither (RFC 9293, sections 3.8.4 and 3.8.6.1).
func (s *shard) segment(e *entry, st *staged, flags uint8) {
	side, marks := &e.side[st.sender&1], &e.marks[st.sender&1]
	length := st.payload
	if flags&flagSYN != 0 {
		length++
	}
	if flags&flagFIN != 0 {
		length++
	}
	end := st.seq + length
	ahead := int32(st.seq - side.next)
	if *marks&synced != 0 && side.gaps != 0 {
		ahead = s.believe(side, st.seq, ahead)
	}
	if *marks&synced == 0 || ahead > reach || ahead < -reach || flags&flagSYN != 0 && (ahead > 0 || ahead < -math.MaxUint16) {
		*marks = *marks&^settled | synced
		if e.handshake == noHandshake {
			e.times[st.sender&1] = micros(st.time)
		}
		s.gaps.drop(&side.gaps)
		side.next = end
		s.countPayload(e, st.payload)
		return
	}
	if ahead >= 0 {
		if ahead > 0 {
			s.gap(side, st.seq, st.time, e.since(st.sender, st.time))
		}
		side.next = end
		s.countPayload(e, st.payload)
		return
	}
	known, beyond := end, uint32(0)
	if before(side.next, end) {
		known, beyond = side.next, end-side.next
		side.next = end
	}
	var filled uint32
	var latest gap
	if side.gaps != 0 {
		filled, latest = s.gaps.fill(&side.gaps, st.seq, known)
	}
	s.countPayload(e, min(filled+beyond, st.payload))
	switch {
	case filled != 0 && latest.link&aged == 0 && micros(st.time)-latest.time < e.roundTrip():
		side.outOfOrder++
	case filled != 0:
		side.retransmits++
	case beyond != 0 || length == 0:
	case length == 1 && st.payload == 1 && end == side.next: // a probe
	case flags&flagFIN != 0 && st.payload == 0 && *marks&fin == 0: // acknowledged before it came
	default:
		side.retransmits++
	}
}

// believe compares a sequence number with a jump before it, and returns how far
// it is ahead after that.
func (s *shard) believe(side *side, seq uint32, ahead int32) int32 {
	g := &s.gaps.at[side.gaps.last()]
	switch {
	case g.link&doubtful == 0:
	case ahead >= 0 && ahead < belief:
		g.link &^= doubtful
	case seq-g.begin < g.end-g.begin:
		side.next = g.begin
		s.gaps.dropLast(&side.gaps)
		return int32(seq - side.next)
	case ahead > 0:
		return math.MaxInt32
	}
	return ahead
}

// acknowledge compares an acknowledgement with what was seen of the other end.
func (s *shard) acknowledge(e *entry, st *staged, flags uint8) {
	other := (st.sender ^ 1) & 1
	side, marks := &e.side[other], &e.marks[other]
	if *marks&synced == 0 {
		// Of a connection seen from its beginning nothing came before.
		if e.handshake != noHandshake {
			*marks |= synced
			side.next = st.ack
		}
		return
	}
	ahead := int32(st.ack - side.next)
	if ahead > reach || ahead < -reach {
		return
	}
	if side.gaps != 0 {
		s.gaps.ack(&side.gaps, st.ack, micros(st.time), e.roundTrip())
	}
	switch {
	case ahead > 1:
		s.gap(side, st.ack, st.time, acked|e.since(other, st.time))
		side.next = st.ack
	case ahead == 1: // a SYN or FIN, most likely
		side.next = st.ack
	}
}

// settling is how long in µs what was under way when the capture of a connection
// began may take to be acknowledged.
const settling = uint32(time.Second / time.Microsecond)

// since returns the flag of a gap in what an end sent: early, unless the
// connection was seen from its beginning or for long enough.
func (e *entry) since(end uint8, now int64) uint32 {
	marks := &e.marks[end&1]
	if *marks&settled == 0 {
		if e.handshake == noHandshake && micros(now)-e.times[end&1] < settling {
			return early
		}
		*marks |= settled
	}
	return 0
}

// gap notes that nothing was seen from next to end. Without room it is the
// sender's oldest gap that is given up: if it was acknowledged it is lost, else
// it does not count.
func (s *shard) gap(side *side, end uint32, now int64, flags uint32) {
	if end-side.next > belief {
		flags |= doubtful
	}
	g := gap{side.next, end, micros(now), flags}
	if s.gaps.insert(&side.gaps, side.gaps.last(), g) || side.gaps == 0 {
		return
	}
	if first := s.gaps.first(side.gaps); first.link&(acked|doubtful|early) == acked {
		side.lose(first.end - first.begin)
	}
	s.gaps.remove(&side.gaps, side.gaps.last())
	s.gaps.insert(&side.gaps, side.gaps.last(), g)
}

// settle counts gaps as lost that were acknowledged and that nothing filled in
// time; at the end of the flow, that nothing filled at all.
func (s *shard) settle(side *side, now int64, final bool) {
	for side.gaps != 0 {
		g := s.gaps.first(side.gaps)
		if g.link&(acked|doubtful) != acked || !final && micros(now)-g.time <= reordering {
			return
		}
		if g.link&early == 0 {
			side.lose(g.end - g.begin)
		}
		s.gaps.remove(&side.gaps, side.gaps.last())
	}
}

func (s *side) lose(n uint32) { s.lost += min(n, math.MaxUint32-s.lost) }

func (s *shard) countPayload(e *entry, n uint32) {
	if n != 0 {
		s.origins.sums(e.origin).tcpBytes += uint64(n)
		s.stats.TCPBytes += uint64(n)
	}
}

// micros is a time in µs modulo 2^32, enough for differences up to an hour.
func micros(time int64) uint32 { return uint32(time / 1000) }
