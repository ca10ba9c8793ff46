package traffic

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// The outer source ports of a mirror session, as seen of AWS.
const (
	firstPort = 0xff80
	ports     = 128
)

// SourcePort returns the outer source port for a frame, 65408 to 65535: a 7-bit
// hash of the inner flow, the same in both directions. The flow is the 5-tuple
// of TCP and UDP; addresses and protocol of other IP packets and of fragments;
// else the MAC addresses. IPv6 extension headers are not walked. Any bytes are
// accepted.
func SourcePort(frame []byte) uint16 {
	// The finalizer of SplitMix64: each bit of the result depends on all.
	h := flowKey(frame)
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return firstPort | uint16(h>>57)
}

// flowKey folds what identifies the flow into one word. Exclusive or makes it
// symmetric.
func flowKey(frame []byte) uint64 {
	if len(frame) < packet.EthernetLen {
		return 0
	}
	etherType, p := binary.BigEndian.Uint16(frame[12:]), frame[packet.EthernetLen:]
	for (etherType == etherVLAN || etherType == etherQinQ || etherType == etherOldTag) && len(p) >= 4 {
		etherType, p = binary.BigEndian.Uint16(p[2:]), p[4:]
	}
	switch {
	case etherType == etherIPv4 && len(p) >= ipv4Len:
		l4 := p[min(int(p[0]&0x0f)*4, len(p)):]
		if binary.BigEndian.Uint16(p[6:])&^dontFragment != 0 {
			l4 = nil
		}
		return portKey(p[9], l4) ^ uint64(xor32(p[12:20]))
	case etherType == etherIPv6 && len(p) >= ipv6Len:
		return portKey(p[6], p[ipv6Len:]) ^ uint64(xor32(p[8:40]))
	}
	return uint64(xor32(frame[:12]))
}

// portKey returns protocol and ports, in the upper half of a word.
func portKey(protocol uint8, l4 []byte) uint64 {
	key := uint64(protocol) << 48
	if (protocol == packet.ProtocolTCP || protocol == packet.ProtocolUDP) && len(l4) >= 4 {
		key |= uint64(binary.BigEndian.Uint16(l4)^binary.BigEndian.Uint16(l4[2:])) << 32
	}
	return key
}

// xor32 folds b, a multiple of 4 bytes, into one word.
func xor32(b []byte) uint32 {
	var x uint32
	for ; len(b) > 0; b = b[4:] {
		x ^= binary.BigEndian.Uint32(b)
	}
	return x
}
