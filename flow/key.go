package flow

import (
	"encoding/binary"
	"math/bits"

	"github.com/periscope-collector/periscope/packet"
)

// A staged frame is one that waits for the end of its batch, with all that has
// to be known to find its flow.
type staged struct {
	frame  *packet.Frame
	shard  *shard
	time   int64  // the frame's
	tuple  uint64 // hash of addresses, ports and protocol
	hash   uint64 // and of the origin
	digest uint64 // see shard.digest; 0 if not known
	entry  uint32 // where the flow may be
	origin uint32
	port   [2]uint16 // of the ends, in the entry's order
	sender uint8     // the end that sent it

	flags    uint8 // of TCP; 0 without a TCP header
	whole    bool  // it is a TCP segment that is not a fragment, of which:
	seq, ack uint32
	payload  uint32 // bytes, of the real packet
}

// stage prepares a frame that holds an IP packet.
func (w *worker) stage(f *packet.Frame) {
	n := len(w.staged)
	if n == cap(w.staged) {
		// It grows to the longest batch, by frames of 80 bytes.
		w.staged = append(w.staged, staged{})
	} else {
		w.staged = w.staged[:n+1]
	}
	h, s, st := &f.Header, w.byFrame[f.Shard], &w.staged[n]
	st.frame, st.shard, st.time = f, s, sane(f.Time)
	st.origin = s.origins.find(f, s.hasher)
	st.digest, st.flags, st.whole = 0, 0, false
	src, dst := endPorts(h)
	if h.Protocol == packet.ProtocolTCP && h.Transport != 0 {
		st.flags = h.TCPFlags
		if !h.Fragment() {
			st.readTCP(f)
		}
	}
	if h.Fragment() {
		src, dst = s.fragment(f, st.origin, src, dst)
	}
	a, b := s.hasher.end(&h.Src, src), s.hasher.end(&h.Dst, dst)
	_, borrow := bits.Sub64(b, a, 0) // no branch, since nothing could predict it
	st.sender = uint8(borrow)
	st.port[st.sender&1], st.port[st.sender&1^1] = src, dst
	st.tuple = s.hasher.tuple(a, b, h.Protocol)
	st.hash = s.hasher.join(st.tuple, s.origins.at[st.origin].hash)
}

// hashOf returns the hash that an entry is found by.
func (s *shard) hashOf(e *entry) uint64 {
	a, b := s.hasher.end(&e.addr[0], e.port[0]), s.hasher.end(&e.addr[1], e.port[1])
	return s.hasher.join(s.hasher.tuple(a, b, e.protocol), s.origins.at[e.origin].hash)
}

// sameEnds reports whether e is of st's flow, through whichever session.
func (e *entry) sameEnds(st *staged) bool {
	h := &st.frame.Header
	return e.port == st.port && e.protocol == h.Protocol &&
		e.addr[st.sender&1] == h.Src && e.addr[st.sender&1^1] == h.Dst
}

// is reports whether e is of st's flow.
func (e *entry) is(st *staged) bool { return e.origin == st.origin && e.sameEnds(st) }

// readTCP reads what the analysis of a segment needs (RFC 9293, section 3.1).
func (st *staged) readTCP(f *packet.Frame) {
	h := &f.Header
	if int(h.Transport)+20 > len(f.Data) {
		return
	}
	p := (*[20]byte)(f.Data[h.Transport:])
	header := uint32(h.Transport) - uint32(h.Network) + uint32(p[12]>>4)*4
	length := ipLength(f)
	if h.Transport < h.Network || header > length {
		return
	}
	st.whole = true
	st.seq, st.ack = binary.BigEndian.Uint32(p[4:8]), binary.BigEndian.Uint32(p[8:12])
	st.payload = length - header
}

// ipLength is the length of an IP packet, where its header does not say by the
// length of the frame.
func ipLength(f *packet.Frame) uint32 {
	if n := f.Header.IPLength; n != 0 {
		return min(n, maxLength)
	}
	return uint32(min(max(f.Length-int(f.Header.Network), 0), maxLength))
}

// maxLength bounds what one packet can add to a counter, in bytes. It is far
// above what an IP packet can have.
const maxLength = 1 << 24

// endPorts returns what tells flows between the same addresses apart, for the
// sender and the receiver of a packet: ports, or what ICMP has in their place.
func endPorts(h *packet.Header) (src, dst uint16) {
	if h.Transport == 0 {
		return 0, 0
	}
	switch h.Protocol {
	case packet.ProtocolTCP, packet.ProtocolUDP, packet.ProtocolSCTP:
		return h.SrcPort, h.DstPort
	case packet.ProtocolICMP:
		return icmpPorts(&counterparts4, h)
	case packet.ProtocolICMPv6:
		return icmpPorts(&counterparts6, h)
	}
	return 0, 0
}

// counterparts are ICMP types that ask and answer, as in Community ID, version
// 1. A type without one is its own.
var (
	counterparts4 = pairs([][2]uint8{{0, 8}, {9, 10}, {13, 14}, {15, 16}, {17, 18}})
	counterparts6 = pairs([][2]uint8{{128, 129}, {130, 131}, {133, 134}, {135, 136}, {139, 140}, {144, 145}})
)

func pairs(list [][2]uint8) (of [256]uint8) {
	for i := range of {
		of[i] = uint8(i)
	}
	for _, p := range list {
		of[p[0]], of[p[1]] = p[1], p[0]
	}
	return of
}

// icmpPorts gives a message that has a counterpart its type, and the receiver
// the counterpart's; another one its type and, apart from all types, its code.
func icmpPorts(counterparts *[256]uint8, h *packet.Header) (src, dst uint16) {
	if c := counterparts[h.ICMPType]; c != h.ICMPType {
		return uint16(h.ICMPType), uint16(c)
	}
	return uint16(h.ICMPType), 0x100 | uint16(h.ICMPCode)
}
