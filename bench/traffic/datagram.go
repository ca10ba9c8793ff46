package traffic

import (
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
