package traffic

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/internal/checksum"
	"github.com/periscope-collector/periscope/packet"
)

// EtherTypes (IEEE 802, IANA "IEEE 802 Numbers").
const (
	etherIPv4   = 0x0800
	etherARP    = 0x0806
	etherVLAN   = 0x8100 // 802.1Q
	etherIPv6   = 0x86dd
	etherQinQ   = 0x88a8 // 802.1ad
	etherOldTag = 0x9100 // in use before 802.1ad
)

const (
	ipv4Len = 20 // without options
	ipv6Len = 40
	tcpLen  = 20 // without options
	udpLen  = 8
	icmpLen = 8
)

// Flags and offset field of IPv4 (RFC 791, section 3.1).
const (
	dontFragment  = 0x4000
	moreFragments = 0x2000
)

type mac = [6]byte

func appendEthernet(b []byte, dst, src mac, etherType uint16) []byte {
	b = append(append(b, dst[:]...), src[:]...)
	return binary.BigEndian.AppendUint16(b, etherType)
}

// ipv4 is an IPv4 header (RFC 791, section 3.1).
type ipv4 struct {
	src, dst packet.Addr
	tos, ttl uint8
	protocol uint8
	id       uint16
	fragment uint16 // flags, and offset in units of 8 bytes
	options  []byte // a multiple of 4 bytes, at most 40
}

// append appends the header of a packet with the given number of bytes behind
// it.
func (h *ipv4) append(b []byte, payload int) []byte {
	start, length := len(b), ipv4Len+len(h.options)
	b = append(b, 0x40|byte(length/4), h.tos)
	b = binary.BigEndian.AppendUint16(b, uint16(length+payload))
	b = binary.BigEndian.AppendUint16(b, h.id)
	b = binary.BigEndian.AppendUint16(b, h.fragment)
	b = append(b, h.ttl, h.protocol, 0, 0)
	b = append(append(b, h.src[12:]...), h.dst[12:]...)
	b = append(b, h.options...)
	binary.BigEndian.PutUint16(b[start+10:], checksum.Fold(checksum.Sum(0, b[start:])))
	return b
}

// appendIPv6 appends the header (RFC 8200, section 3) of a packet with the
// given number of bytes behind it, extension headers among them.
func appendIPv6(b []byte, src, dst packet.Addr, next, hopLimit uint8, payload int) []byte {
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(payload))
	b = append(b, next, hopLimit)
	return append(append(b, src[:]...), dst[:]...)
}

// tcp is a TCP header (RFC 9293, section 3.1). Its checksum is left to seal.
type tcp struct {
	src, dst uint16
	seq, ack uint32
	flags    uint8
	options  []byte // a multiple of 4 bytes, at most 40
}

// TCP flags.
const (
	flagPSH = 0x08
	flagACK = 0x10
)

func (h *tcp) append(b []byte) []byte {
	b = appendPorts(b, h.src, h.dst)
	b = binary.BigEndian.AppendUint32(b, h.seq)
	b = binary.BigEndian.AppendUint32(b, h.ack)
	b = append(b, byte((tcpLen+len(h.options))/4)<<4, h.flags)
	b = append(b, 0xff, 0xff, 0, 0, 0, 0) // window, checksum, urgent pointer
	return append(b, h.options...)
}

// appendUDP appends a UDP header (RFC 768), its checksum zero.
func appendUDP(b []byte, src, dst uint16, payload int) []byte {
	b = appendPorts(b, src, dst)
	b = binary.BigEndian.AppendUint16(b, uint16(udpLen+payload))
	return append(b, 0, 0)
}

// appendICMP appends an ICMP or ICMPv6 header (RFC 792, RFC 4443), its checksum
// left to seal. rest is the second word, whose meaning depends on the type.
func appendICMP(b []byte, kind, code uint8, rest uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, kind, code, 0, 0), rest)
}

func appendPorts(b []byte, src, dst uint16) []byte {
	return append(b, byte(src>>8), byte(src), byte(dst>>8), byte(dst))
}
