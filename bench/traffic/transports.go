package traffic

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/periscope-collector/periscope/packet"
)

// A transport is what an IP packet carries, or an ARP message.
type transport struct {
	name     string
	version  uint8 // 4 or 6; 0 is ARP
	protocol uint8 // IANA number
	grows    bool  // has a payload of any length, so that it can be in fragments

	// append appends the transport header and a payload, room bytes in all or
	// as few more as it needs.
	append func(g *Stacks, b []byte, room int) []byte
}

var transports = [...]transport{
	{"arp", 0, 0, false, appendARP},
	{"tcp", 4, packet.ProtocolTCP, true, (*Stacks).appendTCP},
	{"udp", 4, packet.ProtocolUDP, true, (*Stacks).appendUDP},
	{"udp-zero", 4, packet.ProtocolUDP, true, (*Stacks).appendUDPZero},
	{"echo", 4, packet.ProtocolICMP, true, (*Stacks).appendEcho},
	{"error", 4, packet.ProtocolICMP, false, (*Stacks).appendError},
	{"timestamp", 4, packet.ProtocolICMP, false, (*Stacks).appendTimestamp},
	{"sctp", 4, packet.ProtocolSCTP, true, (*Stacks).appendSCTP},
	{"tcp", 6, packet.ProtocolTCP, true, (*Stacks).appendTCP},
	{"udp", 6, packet.ProtocolUDP, true, (*Stacks).appendUDP},
	{"echo", 6, packet.ProtocolICMPv6, true, (*Stacks).appendEcho},
	{"error", 6, packet.ProtocolICMPv6, false, (*Stacks).appendError},
	{"nd", 6, packet.ProtocolICMPv6, false, (*Stacks).appendND},
	{"mld", 6, packet.ProtocolICMPv6, false, (*Stacks).appendMLD},
	{"sctp", 6, packet.ProtocolSCTP, true, (*Stacks).appendSCTP},
}

// fits reports whether n may carry t.
func (t *transport) fits(n network) bool {
	switch {
	case t.version != n.version, n.split && !t.grows:
		return false
	case t.name == "mld":
		return n.name == "ipv6+hop" // RFC 3810, section 5
	case t.name == "nd":
		return n.name == "ipv6" // RFC 4861, RFC 6980
	}
	return true
}

// hopLimit returns what neighbour discovery and multicast listeners insist on.
func (t *transport) hopLimit() uint8 {
	switch t.name {
	case "nd":
		return 255
	case "mld":
		return 1
	}
	return 64
}

// fill appends a payload to the header b[start:], so that both have room bytes.
func (g *Stacks) fill(b []byte, start, room int) []byte {
	return append(b, g.filler[:max(room-(len(b)-start), 0)]...)
}

// ports returns those of a client or, as often, those of a server. Dynamic ports
// (RFC 6335) keep dissectors from reading the payload as some protocol.
func (g *Stacks) ports() (src, dst uint16) {
	src, dst = uint16(49152+g.rand.Uint32N(16384)), services[g.rand.IntN(len(services))]
	if g.rand.Uint32()&1 == 0 {
		return dst, src
	}
	return src, dst
}

// seal completes the segment b[start:].
func (g *Stacks) seal(b []byte, start int) []byte {
	seal(b[start:], g.out.src, g.out.dst, g.current.transport.protocol)
	return b
}

// tcpOptions (RFC 9293, section 3.1) are those of connections, of data, and odd
// ones.
var tcpOptions = [...][]byte{
	{},
	{2, 4, 5, 180},
	{2, 4, 35, 61, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7}, // segment size, SACK permitted, timestamps, scale
	{1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8},
	{1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2},                                                    // one SACK block
	{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 39: 0}, // as long as can be
}

func (g *Stacks) appendTCP(b []byte, room int) []byte {
	start := len(b)
	h := tcp{seq: g.rand.Uint32(), ack: g.rand.Uint32(), flags: g.flags, options: tcpOptions[g.rand.IntN(len(tcpOptions))]}
	h.src, h.dst = g.ports()
	g.flags++
	return g.seal(g.fill(h.append(b), start, room), start)
}

func (g *Stacks) appendUDP(b []byte, room int) []byte {
	start := len(b)
	return g.seal(g.appendUDPZero(b, room), start)
}

// appendUDPZero leaves the checksum zero: not computed (RFC 768).
func (g *Stacks) appendUDPZero(b []byte, room int) []byte {
	start, room := len(b), max(room, udpLen)
	src, dst := g.ports()
	return g.fill(appendUDP(b, src, dst, room-udpLen), start, room)
}

func (g *Stacks) appendEcho(b []byte, room int) []byte {
	start := len(b)
	kind := echo(g.current.transport.protocol, uint8(g.rand.Uint32()&1))
	return g.seal(g.fill(appendICMP(b, kind, 0, g.rand.Uint32()), start, room), start)
}

// appendSCTP appends a common header and a DATA chunk (RFC 9260, section 3),
// padded to a multiple of 4 bytes. The checksum is CRC32c, least significant
// byte first (appendix A).
func (g *Stacks) appendSCTP(b []byte, room int) []byte {
	const common, chunk = 12, 16
	start := len(b)
	room = max(room, common+chunk+4) &^ 3
	padding := g.rand.IntN(4)
	length := room - common - padding
	src, dst := g.ports()
	b = binary.BigEndian.AppendUint32(appendPorts(b, src, dst), g.rand.Uint32())
	b = append(b, 0, 0, 0, 0, 0, 3, byte(length>>8), byte(length)) // checksum; one whole message
	b = binary.BigEndian.AppendUint32(b, g.rand.Uint32())
	b = append(b, 0, 1, 0, 2, 0, 0, 0, 0) // stream, its sequence number, payload protocol
	b = append(b, g.filler[:length-chunk]...)
	b = append(b, make([]byte, padding)...)
	crc := crc32.Checksum(b[start:], crc32.MakeTable(crc32.Castagnoli))
	binary.LittleEndian.PutUint32(b[start+8:], crc)
	return b
}
