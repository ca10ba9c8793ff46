package flow

import (
	"github.com/periscope-collector/periscope/packet"
)

// write emits the record of entry i, if it has one, and clears it. The entry
// stays, with what it knows of the flow.
func (s *shard) write(i uint32, why packet.FlowReason, now int64) {
	e := &s.slab[i]
	goesOn := why == packet.FlowInterval || why == packet.FlowFull
	s.settle(&e.side[0], now, !goesOn)
	s.settle(&e.side[1], now, !goesOn)
	s.sum(e)
	if e.side[0].packets|e.side[1].packets != 0 {
		s.emit(e, why, goesOn)
	}
	e.side[0].clear()
	e.side[1].clear()
	e.flags = [2]uint8{}
	e.marks[0] &= kept
	e.marks[1] &= kept
	e.cut = 0
	e.state &^= open
}

func (s *side) clear() {
	s.bytes, s.packets, s.extra, s.truncated, s.duplicates = 0, 0, 0, 0, 0
	s.lost, s.retransmits, s.outOfOrder = 0, 0, 0
}

// sum adds what TCP analysis found to the session's tally and to the stats.
func (s *shard) sum(e *entry) {
	lost := uint64(e.side[0].lost) + uint64(e.side[1].lost)
	again := uint64(e.side[0].retransmits) + uint64(e.side[1].retransmits)
	shuffled := uint64(e.side[0].outOfOrder) + uint64(e.side[1].outOfOrder)
	if lost|again|shuffled == 0 {
		return
	}
	sums := s.origins.sums(e.origin)
	sums.lostBytes += lost
	sums.retransmits += again
	sums.outOfOrder += shuffled
	s.stats.LostBytes += lost
	s.stats.Retransmitted += again
	s.stats.OutOfOrder += shuffled
}

func (s *shard) emit(e *entry, why packet.FlowReason, goesOn bool) {
	o := &s.origins.at[e.origin]
	begin := s.worker.begins(e.epoch)
	first := e.initiator()
	second := first ^ 1
	r := &s.worker.record
	*r = packet.Flow{
		Session: o.session.Identified(), Source: o.source, Shard: s.number,
		Begin: begin, End: begin + int64(s.worker.config.Interval),
		Addr:     [2]packet.Addr{e.addr[first], e.addr[second]},
		Protocol: e.protocol, Reason: why, TruncatedLength: e.cut,
	}
	switch e.protocol {
	case packet.ProtocolICMP, packet.ProtocolICMPv6:
		r.ICMPType, r.ICMPCode = e.icmpType, e.icmpCode
	default:
		r.Port = [2]uint16{e.port[first], e.port[second]}
	}
	e.fill(&r.Side[0], first, begin)
	e.fill(&r.Side[1], second, begin)
	e.report(r, goesOn)
	r.Class = classify(r)
	s.worker.config.Emit(s.worker.number, r)
	r.Session = nil

	s.origins.sums(e.origin).records++
	s.stats.Records[why]++
	class := &s.stats.Classes[r.Class]
	class.Packets += r.Side[0].Packets + r.Side[1].Packets
	class.Bytes += r.Side[0].Bytes + r.Side[1].Bytes
}

// fill sets what one end sent.
func (e *entry) fill(r *packet.FlowSide, end uint8, begin int64) {
	s, marks := &e.side[end&1], e.marks[end]
	r.Lost = uint64(s.lost)
	if s.packets == 0 {
		return
	}
	r.Packets, r.Bytes, r.FrameBytes = uint64(s.packets), s.bytes, s.bytes+uint64(s.extra)
	r.Truncated, r.Duplicates = uint64(s.truncated), uint64(s.duplicates)
	r.First, r.Last = begin+int64(s.first)*1000, begin+int64(s.last)*1000
	r.Direction = packet.Direction(marks & directionMask)
	r.TCPFlags, r.SYNACK, r.BadFlags = e.flags[end], marks&synAck != 0, marks&badFlags != 0
	r.Retransmitted, r.OutOfOrder = uint64(s.retransmits), uint64(s.outOfOrder)
}
