package traffic

import (
	"github.com/periscope-collector/periscope/packet"
)

// The flags of a TCP segment that only whole conversations have (RFC 9293,
// section 3.1).
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
)

// A segment of the middle of a conversation: who sends it, and whether it
// carries data or acknowledges alone.
type segment struct {
	from uint8
	data bool
}

// cycle is what follows the handshake, again and again: a request, a longer
// response, and an upload.
var cycle = [...]segment{
	{0, true}, {1, true}, {1, true}, {0, false}, {1, true}, {1, true}, {0, false},
	{0, true}, {0, true}, {1, false},
}

// The frames that open a connection, and those that end it.
const (
	openings = 3 // SYN, SYN-ACK, ACK
	closings = 3 // FIN, FIN, ACK
)

// appendSegment appends the next frame of a TCP connection. One with frames for
// no more is a half-open scan: SYN, SYN-ACK, RST, as far as they go.
func (g *Conversations) appendSegment(b []byte, f *dialogue) []byte {
	whole := f.sent+f.left > openings+closings && f.kind != reset
	switch {
	case f.sent == 0:
		return g.appendTCP(b, f, 0, flagSYN, 0)
	case f.sent == 1:
		return g.appendTCP(b, f, 1, flagSYN|flagACK, 0)
	case !whole && f.left == 1:
		return g.appendTCP(b, f, 0, flagRST|flagACK, 0)
	case f.sent < openings, whole && f.left == 1:
		return g.appendTCP(b, f, 0, flagACK, 0)
	case whole && f.left <= closings:
		return g.appendTCP(b, f, uint8(closings-f.left), flagFIN|flagACK, 0)
	}
	s := cycle[(f.sent-openings)%uint32(len(cycle))]
	if !s.data {
		return g.appendTCP(b, f, s.from, flagACK, 0)
	}
	return g.appendTCP(b, f, s.from, flagPSH|flagACK, g.size())
}

// segmentSize is the option of a SYN (RFC 9293, section 3.7.1).
var segmentSize = []byte{2, 4, 1440 >> 8, 1440 & 0xff}

func (g *Conversations) appendTCP(b []byte, f *dialogue, from, flags uint8, payload int) []byte {
	h := tcp{src: f.port[from], dst: f.port[1-from], seq: f.seq[from], flags: flags}
	if flags&flagACK != 0 {
		h.ack = f.seq[1-from]
	}
	if flags&flagSYN != 0 {
		h.options = segmentSize
	}
	f.seq[from] += uint32(payload)
	if flags&(flagSYN|flagFIN) != 0 {
		f.seq[from]++
	}
	b, start := g.appendPacket(b, f, from, packet.ProtocolTCP, tcpLen+len(h.options)+payload)
	b = append(h.append(b), g.filler[:payload]...)
	seal(b[start:], f.addr[from], f.addr[1-from], packet.ProtocolTCP)
	return b
}

// appendDatagram appends the next of requests and responses: UDP or ICMP.
func (g *Conversations) appendDatagram(b []byte, f *dialogue) []byte {
	from := uint8(f.sent & 1)
	if f.kind == unreachable && from == 1 {
		return g.appendUnreachable(b, f)
	}
	payload := g.size()
	b, start := g.appendPacket(b, f, from, f.protocol, udpLen+payload)
	if f.protocol == packet.ProtocolUDP {
		b = appendUDP(b, f.port[from], f.port[1-from], payload)
	} else {
		b = appendICMP(b, echo(f.protocol, from), 0, uint32(f.port[0])<<16|f.sent/2)
	}
	b = append(b, g.filler[:payload]...)
	seal(b[start:], f.addr[from], f.addr[1-from], f.protocol)
	return b
}

// appendUnreachable appends the answer of a server that has nothing on the
// port: an ICMP error with the headers of the request (RFC 792, RFC 4443).
func (g *Conversations) appendUnreachable(b []byte, f *dialogue) []byte {
	kind, code, headers := uint8(3), uint8(3), ipv4Len+udpLen
	if !f.addr[0].Is4() {
		kind, code, headers = 1, 4, ipv6Len+udpLen
	}
	b, start := g.appendPacket(b, f, 1, f.icmp(), icmpLen+headers)
	b = appendICMP(b, kind, code, 0)
	b = f.appendIP(b, 0, packet.ProtocolUDP, uint16(f.sent-1), dontFragment, udpLen+minPayload)
	b = appendUDP(b, f.port[0], f.port[1], minPayload)
	seal(b[start:], f.addr[1], f.addr[0], f.icmp())
	return b
}

// fragments is how many frames a response in fragments takes.
const fragments = 3

// appendFragment appends the next of requests in one piece and responses in
// fragments. Where too few frames are left for a response, requests follow.
func (g *Conversations) appendFragment(b []byte, f *dialogue) []byte {
	begin := f.sent%(1+fragments) == 1 && f.left >= fragments
	if f.length == 0 && !begin {
		payload := g.size()
		b, start := g.appendPacket(b, f, 0, packet.ProtocolUDP, udpLen+payload)
		b = append(appendUDP(b, f.port[0], f.port[1], payload), g.filler[:payload]...)
		seal(b[start:], f.addr[0], f.addr[1], packet.ProtocolUDP)
		return b
	}
	if begin {
		f.fragment, f.length = 0, uint16(udpLen+fragments*g.size())
	}
	g.scratch = appendUDP(g.scratch[:0], f.port[1], f.port[0], int(f.length)-udpLen)
	g.scratch = append(g.scratch, g.filler[:f.length-udpLen]...)
	seal(g.scratch, f.addr[1], f.addr[0], packet.ProtocolUDP)

	each := (len(g.scratch)/fragments + 8) &^ 7
	offset := each * int(f.fragment)
	part := g.scratch[offset:min(offset+each, len(g.scratch))]
	field := uint16(offset / 8)
	if f.fragment++; f.fragment < fragments {
		field |= moreFragments
	} else {
		f.length = 0
	}
	b = g.appendEthernet(b, f, 1)
	// Flows between the same addresses have neighbouring ports.
	id := f.port[0]<<11 | uint16(f.sent/(1+fragments))&0x7ff
	b = f.appendIP(b, 1, packet.ProtocolUDP, id, field, len(part))
	f.count(1, ipv4Len+len(part))
	return append(b, part...)
}

// appendPacket appends the headers of a packet in one piece with so many bytes
// behind them, and counts it. start is where those begin.
func (g *Conversations) appendPacket(b []byte, f *dialogue, from, protocol uint8, payload int) (_ []byte, start int) {
	b = g.appendEthernet(b, f, from)
	start = len(b)
	b = f.appendIP(b, from, protocol, uint16(f.sent), dontFragment, payload)
	f.count(from, len(b)-start+payload)
	return b, len(b)
}

func (f *dialogue) count(from uint8, bytes int) {
	f.packets[from]++
	f.bytes[from] += uint32(bytes)
}

func (g *Conversations) appendEthernet(b []byte, f *dialogue, from uint8) []byte {
	near, _, _ := Interface()
	src, dst, etherType := near, routerMAC(), uint16(etherIPv4)
	if from != f.interior {
		src, dst = dst, src
	}
	if !f.addr[0].Is4() {
		etherType = etherIPv6
	}
	return appendEthernet(b, dst, src, etherType)
}

// appendIP appends an IP header; id and fragment are those of IPv4.
func (f *dialogue) appendIP(b []byte, from, protocol uint8, id, fragment uint16, payload int) []byte {
	src, dst := f.addr[from], f.addr[1-from]
	if !src.Is4() {
		return appendIPv6(b, src, dst, protocol, 64, payload)
	}
	h := ipv4{src: src, dst: dst, ttl: 64, protocol: protocol, id: id, fragment: fragment}
	return h.append(b, payload)
}
