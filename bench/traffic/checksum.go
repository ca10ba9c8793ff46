package traffic

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/internal/checksum"
	"github.com/periscope-collector/periscope/packet"
)

// pseudo returns the sum of the pseudo header that TCP, UDP and ICMPv6 add to
// theirs: RFC 9293, section 3.1, and RFC 8200, section 8.1. length is that of
// the whole upper-layer packet.
func pseudo(src, dst packet.Addr, protocol uint8, length int) uint64 {
	s := uint64(protocol) + uint64(length)
	if src.Is4() {
		return checksum.Sum(checksum.Sum(s, src[12:]), dst[12:])
	}
	return checksum.Sum(checksum.Sum(s, src[:]), dst[:])
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
	c := checksum.Fold(checksum.Sum(s, b))
	if c == 0 && protocol == packet.ProtocolUDP {
		c = 0xffff
	}
	binary.BigEndian.PutUint16(b[at:], c)
}
