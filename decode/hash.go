package decode

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// FlowHash returns a hash of the addresses, protocol and ports of the flow that
// an Ethernet frame belongs to. It is the same for both directions, and for both
// copies of a packet whose ends are both mirrored: hardware addresses and VLAN
// identifiers do not enter. The worker of a frame is FlowHash modulo the number
// of workers.
//
// It is 0 for what is neither IPv4 nor IPv6, and whenever a field it needs is
// cut off. Later fragments carry no ports, so those of the first one do not
// enter either: all fragments of a packet have one hash, that of the addresses
// and the protocol alone. So it is behind IPv6 extension headers, which are not
// walked.
//
// The program that steers datagrams in the kernel computes the same, step by
// step, in classic BPF: no loops, 32-bit words, a load beyond the end gives 0.
// Whatever changes here changes there.
func FlowHash(frame []byte) uint32 {
	h, _ := flowHash(frame)
	return h
}

// flowHash also reports whether the frame carries a fragment, or an IPv6
// fragment header that follows the fixed one.
func flowHash(frame []byte) (h uint32, fragment bool) {
	if len(frame) < packet.EthernetLen {
		return 0, false
	}
	etherType, p := binary.BigEndian.Uint16(frame[12:14]), frame[packet.EthernetLen:]
	for tags := 0; tags < 2 && isTag(etherType); tags++ {
		if len(p) < tagLen {
			return 0, false
		}
		etherType, p = binary.BigEndian.Uint16(p[2:4]), p[tagLen:]
	}
	var src, dst uint32 // the addresses, folded to 32 bits each
	var protocol uint8
	var portsAt int
	switch {
	case etherType == etherIPv4 && len(p) >= ipv4Len:
		src, dst = binary.BigEndian.Uint32(p[12:16]), binary.BigEndian.Uint32(p[16:20])
		protocol, portsAt = p[9], int(p[0]&0x0f)*4
		if binary.BigEndian.Uint16(p[6:8])&0x3fff != 0 {
			return mix(src, dst, 0, 0, protocol), true
		}
	case etherType == etherIPv6 && len(p) >= ipv6Len:
		for i := 8; i < 24; i += 4 {
			src ^= binary.BigEndian.Uint32(p[i : i+4])
			dst ^= binary.BigEndian.Uint32(p[i+16 : i+20])
		}
		protocol, portsAt = p[6], ipv6Len
	default:
		return 0, false
	}
	if !hasPorts(protocol) {
		return mix(src, dst, 0, 0, protocol), protocol == extFragment
	}
	if len(p) < portsAt+4 {
		return 0, false
	}
	p = p[portsAt:]
	return mix(src, dst, uint32(binary.BigEndian.Uint16(p[0:2])), uint32(binary.BigEndian.Uint16(p[2:4])), protocol), false
}

func hasPorts(protocol uint8) bool {
	return protocol == packet.ProtocolTCP || protocol == packet.ProtocolUDP || protocol == packet.ProtocolSCTP
}

// mix spreads what differs between flows, mostly a few low bits of addresses and
// ports, over all 32 bits. Of each pair it takes both what is different and the
// sum, which are the same either way round: one alone would be equal for all of
// 10.0.0.i to 10.0.1.i, or for all pairs of one middle. It ends with the
// finaliser of MurmurHash3.
func mix(src, dst, sport, dport uint32, protocol uint8) uint32 {
	h := (src^dst)*0x9e3779b1 + (src + dst)
	h ^= ((sport ^ dport) + (sport+dport)<<16) * 0x85ebca6b
	h += uint32(protocol) * 0xc2b2ae35
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}
