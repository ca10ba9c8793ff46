package traffic

import (
	"encoding/binary"
	"net/netip"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// AppendVXLAN appends the UDP payload that mirrors frame: a VXLAN header with
// the low 24 bits of vni, and the frame.
func AppendVXLAN(b []byte, vni uint32, frame []byte) []byte {
	return append(tunnel.AppendVXLAN(b, vni), frame...)
}

// AppendGENEVE appends the UDP payload, to port 6081, that mirrors frame behind
// a Gateway Load Balancer: GENEVE with g's AWS options, then the packet from
// the mirrored interface src to the mirror target dst: IP > UDP 4789 > VXLAN >
// frame. src and dst are of one family.
func AppendGENEVE(b []byte, g tunnel.GENEVE, src, dst netip.Addr, vni uint32, frame []byte) []byte {
	g.AWS, g.Protocol = true, tunnel.ProtocolIPv4
	if !src.Unmap().Is4() {
		g.Protocol = tunnel.ProtocolIPv6
	}
	b = tunnel.AppendGENEVE(b, g)
	b = appendOuter(b, src, dst, SourcePort(frame), tunnel.VXLANPort, tunnel.VXLANLen+len(frame))
	return AppendVXLAN(b, vni, frame)
}

// AppendOuter appends the packet that carries payload, a datagram, from src to
// dst as it is seen on the wire: Ethernet, IP, UDP. As AWS sends it, the UDP
// checksum is zero, the TTL 255, the identification 0 and DF clear. src and dst
// are of one family.
func AppendOuter(b []byte, src, dst netip.AddrPort, payload []byte) []byte {
	etherType := uint16(etherIPv4)
	if !src.Addr().Unmap().Is4() {
		etherType = etherIPv6
	}
	near, _, _ := Interface()
	b = appendEthernet(b, routerMAC(), near, etherType)
	b = appendOuter(b, src.Addr(), dst.Addr(), src.Port(), dst.Port(), len(payload))
	return append(b, payload...)
}

// appendOuter appends the IP and UDP headers in front of so many bytes.
func appendOuter(b []byte, src, dst netip.Addr, srcPort, dstPort uint16, payload int) []byte {
	from, to := packet.AddrFrom(src), packet.AddrFrom(dst)
	if from.Is4() {
		ip := ipv4{src: from, dst: to, ttl: 255, protocol: packet.ProtocolUDP}
		b = ip.append(b, udpLen+payload)
	} else {
		b = appendIPv6(b, from, to, packet.ProtocolUDP, 255, udpLen+payload)
	}
	return appendUDP(b, srcPort, dstPort, payload)
}

// The outer source ports of a mirror session.
const (
	firstPort = 0xff80
	ports     = 128
)

// SourcePort returns the outer source port for a frame, 65408 to 65535: the
// upper bits set, and a 7-bit hash of the inner flow, the same in both
// directions. The flow is the 5-tuple of TCP and UDP; addresses and protocol of
// other IP packets and of fragments; else the MAC addresses. Any bytes are
// accepted.
func SourcePort(frame []byte) uint16 {
	return firstPort | uint16(flowHash(frame)>>57)
}

// flowHash returns a hash whose upper bits are good.
func flowHash(frame []byte) uint64 {
	if len(frame) < packet.EthernetLen {
		return 0
	}
	at := packet.EthernetLen
	etherType := binary.BigEndian.Uint16(frame[12:])
	for (etherType == etherVLAN || etherType == etherQinQ || etherType == etherOldTag) && len(frame) >= at+4 {
		etherType = binary.BigEndian.Uint16(frame[at+2:])
		at += 4
	}
	p := frame[at:]
	switch {
	case etherType == etherIPv4 && len(p) >= ipv4Len:
		l4 := p[min(int(p[0]&0x0f)*4, len(p)):]
		if binary.BigEndian.Uint16(p[6:])&^dontFragment != 0 {
			l4 = nil
		}
		return tuple(p[9], p[12:16], p[16:20], l4)
	case etherType == etherIPv6 && len(p) >= ipv6Len:
		return tuple(p[6], p[8:24], p[24:40], p[ipv6Len:])
	}
	return mix(spread(frame[0:6]) + spread(frame[6:12]))
}

// tuple hashes a flow. Adding up the hashes of its two ends makes it symmetric.
func tuple(protocol uint8, src, dst, l4 []byte) uint64 {
	from, to := spread(src), spread(dst)
	if (protocol == packet.ProtocolTCP || protocol == packet.ProtocolUDP) && len(l4) >= 4 {
		from = mix(from ^ uint64(binary.BigEndian.Uint16(l4)))
		to = mix(to ^ uint64(binary.BigEndian.Uint16(l4[2:])))
	}
	return mix(from + to + uint64(protocol))
}

// spread hashes a few bytes.
func spread(b []byte) uint64 {
	h := uint64(len(b))
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return mix(h)
}

// mix is the finalizer of SplitMix64.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
