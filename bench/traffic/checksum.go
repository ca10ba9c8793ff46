package traffic

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// sum adds b, taken as big-endian 16-bit words and padded with a zero byte, to
// the Internet checksum s (RFC 1071). Only the last piece of what is summed may
// have an odd length.
func sum(s uint64, b []byte) uint64 {
	for len(b) >= 8 {
		v := binary.BigEndian.Uint64(b)
		s += v>>32 + v&0xffffffff
		b = b[8:]
	}
	for len(b) >= 2 {
		s += uint64(b[0])<<8 | uint64(b[1])
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

// fold returns the checksum field for s, to which 32-bit words may have been
// added.
func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}

// pseudo returns the sum of the pseudo header that TCP, UDP and ICMPv6 add to
// theirs: RFC 9293, section 3.1, and RFC 8200, section 8.1. length is that of
// the whole upper-layer packet.
func pseudo(src, dst packet.Addr, protocol uint8, length int) uint64 {
	s := uint64(protocol) + uint64(length)
	if src.Is4() {
		return sum(sum(s, src[12:]), dst[12:])
	}
	return sum(sum(s, src[:]), dst[:])
}

// seal writes the checksum of an upper-layer packet into its header. ICMP for
// IPv4 has no pseudo header (RFC 792). A UDP checksum that comes out as zero is
// sent as all ones (RFC 768).
func seal(b []byte, src, dst packet.Addr, protocol uint8) {
	var at int
	var s uint64
	switch protocol {
	case packet.ProtocolTCP:
		at = 16
	case packet.ProtocolUDP:
		at = 6
	default:
		at = 2
	}
	if protocol != packet.ProtocolICMP {
		s = pseudo(src, dst, protocol, len(b))
	}
	binary.BigEndian.PutUint16(b[at:], 0)
	c := fold(sum(s, b))
	if c == 0 && protocol == packet.ProtocolUDP {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(b[at:], c)
}
