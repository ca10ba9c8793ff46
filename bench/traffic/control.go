package traffic

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// appendARP appends a request, or a reply (RFC 826).
func appendARP(g *Stacks, b []byte, _ int) []byte {
	o, target := &g.out, mac{}
	operation := byte(1 + g.rand.Uint32()&1)
	if operation == 2 {
		target = o.dstMAC
	}
	b = append(b, 0, 1, etherIPv4>>8, etherIPv4&0xff, 6, 4, 0, operation)
	b = append(append(b, o.srcMAC[:]...), o.src[12:]...)
	return append(append(b, target[:]...), o.dst[12:]...)
}

// appendError appends an ICMP error, with the beginning of the packet it
// answers: the IP header and at least 8 bytes (RFC 792, RFC 4443).
func (g *Stacks) appendError(b []byte, room int) []byte {
	const answered = 600 // bytes of the packet's payload
	start, o := len(b), &g.out
	room = max(room, icmpLen+ipv6Len+udpLen)
	src, dst := g.ports()
	if o.src.Is4() {
		// Unreachable, redirect, time exceeded, parameter problem.
		kind := [...]uint8{3, 5, 11, 12}[g.rand.IntN(4)]
		b = appendICMP(b, kind, uint8(g.rand.Uint32N(2)), 0)
		ip := ipv4{src: o.dst, dst: o.src, ttl: 3, protocol: packet.ProtocolUDP}
		b = ip.append(b, udpLen+answered)
		room = min(room, icmpLen+ipv4Len+udpLen+answered)
	} else {
		// Unreachable, too big, time exceeded.
		kind := [...]uint8{1, 2, 3}[g.rand.IntN(3)]
		b = appendICMP(b, kind, 0, 0)
		b = appendIPv6(b, o.dst, o.src, packet.ProtocolUDP, 3, udpLen+answered)
		room = min(room, icmpLen+ipv6Len+udpLen+answered)
	}
	inner := len(b)
	b = appendUDP(b, src, dst, answered)
	b = append(b, g.filler[:answered]...)
	seal(b[inner:], o.dst, o.src, packet.ProtocolUDP)
	return g.seal(b[:start+room], start)
}

func (g *Stacks) appendTimestamp(b []byte, _ int) []byte {
	start := len(b)
	b = appendICMP(b, uint8(13+g.rand.Uint32()&1), 0, g.rand.Uint32())
	for range 3 { // originate, receive, transmit: ms since midnight
		b = binary.BigEndian.AppendUint32(b, g.rand.Uint32N(86_400_000))
	}
	return g.seal(b, start)
}

// appendND appends one of the messages of neighbour discovery (RFC 4861,
// section 4), with its options.
func (g *Stacks) appendND(b []byte, _ int) []byte {
	start, o := len(b), &g.out
	option := byte(1) // source link-layer address
	switch kind := uint8(133 + g.rand.Uint32N(4)); kind {
	case 133: // router solicitation
		b = appendICMP(b, kind, 0, 0)
	case 134: // router advertisement: hop limit, lifetimes; MTU, prefix
		b = appendICMP(b, kind, 0, 64<<24|1800)
		b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
		b = append(b, 5, 1, 0, 0, 0, 0, 35, 41)
		b = append(b, 3, 4, 64, 0xc0, 0, 1, 0, 0, 0, 0, 128, 0, 0, 0, 0, 0)
		b = append(append(b, o.src[:8]...), make([]byte, 8)...)
	case 135: // neighbour solicitation
		b = append(appendICMP(b, kind, 0, 0), o.dst[:]...)
	case 136: // neighbour advertisement: solicited, override
		b = append(appendICMP(b, kind, 0, 0x60000000), o.src[:]...)
		option = 2 // target link-layer address
	}
	b = append(append(b, option, 1), o.srcMAC[:]...)
	return g.seal(b, start)
}

// appendMLD appends a report of one group (RFC 3810, section 5.2).
func (g *Stacks) appendMLD(b []byte, _ int) []byte {
	start := len(b)
	b = appendICMP(b, 143, 0, 1)
	b = append(b, 4, 0, 0, 0, 0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, byte(g.rand.Uint32()))
	return g.seal(b, start)
}
