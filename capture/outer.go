package capture

import (
	"encoding/binary"
	"slices"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// An outerHeader is what the outer headers of a datagram say.
type outerHeader struct {
	off    int // of the UDP payload in the packet
	end    int // of the payload as far as it was captured; padding is behind it
	length int // of the payload, in bytes, in reality: at least end-off

	source packet.Addr
	encap  packet.Encap
}

// outer reads the outer headers of a packet of the given link layer that was
// wire bytes long, of which pkt was captured. Unless it is a datagram to a
// tunnel port, and whole but for what the capture cut, the Reason is NotTunnel
// or OuterFragment and the header not valid. Checksums are not verified:
// tunnels leave them zero (RFC 7348, section 5; RFC 8926, section 3.3).
//
// It keeps nothing and allocates nothing.
func outer(l link, pkt []byte, wire int) (outerHeader, packet.Reason) {
	return standardPorts.outer(l, pkt, wire)
}

// tunnelPorts are the UDP ports taken for tunnels.
type tunnelPorts struct{ vxlan, geneve []uint16 }

var standardPorts = tunnelPorts{[]uint16{tunnel.VXLANPort}, []uint16{tunnel.GENEVEPort}}

func (p *tunnelPorts) outer(l link, pkt []byte, wire int) (outerHeader, packet.Reason) {
	etherType, off, ok := linkHeader(l, pkt)
	if ok {
		etherType, off, ok = skipVLANs(etherType, off, pkt)
	}
	if !ok {
		return outerHeader{}, packet.NotTunnel
	}
	var ip ipHeader
	switch etherType {
	case etherIPv4:
		ip, ok = parseIPv4(pkt[off:])
	case etherIPv6:
		ip, ok = parseIPv6(pkt[off:])
	default:
		ok = false
	}
	if !ok || ip.protocol != packet.ProtocolUDP {
		return outerHeader{}, packet.NotTunnel
	}
	return p.udp(pkt, off+ip.off, max(wire, len(pkt))-off, ip)
}

// udpLen is the length of a UDP header (RFC 768): source port, destination
// port, length with the header, checksum, 2 bytes each.
const udpLen = 8

// udp reads the UDP header at off, behind ip. wire is how many bytes there are
// from the IP header on.
func (p *tunnelPorts) udp(pkt []byte, off, wire int, ip ipHeader) (outerHeader, packet.Reason) {
	if ip.later {
		return outerHeader{}, packet.OuterFragment
	}
	if len(pkt)-off < udpLen {
		return outerHeader{}, packet.NotTunnel
	}
	h := outerHeader{off: off + udpLen, source: ip.source}
	switch port := binary.BigEndian.Uint16(pkt[off+2:]); {
	case slices.Contains(p.vxlan, port):
		h.encap = packet.VXLAN
	case slices.Contains(p.geneve, port):
		h.encap = packet.GENEVE
	default:
		return outerHeader{}, packet.NotTunnel
	}
	if ip.fragment {
		return outerHeader{}, packet.OuterFragment
	}
	// The innermost length that makes sense is the real one: what a link
	// layer pads, and what a snap length cuts, is outside.
	room := wire - ip.off
	if ip.length >= ip.off+udpLen {
		room = ip.length - ip.off
	}
	if n := int(binary.BigEndian.Uint16(pkt[off+4:])); n >= udpLen && n <= room {
		room = n
	}
	h.length = room - udpLen
	h.end = min(h.off+h.length, len(pkt))
	return h, packet.None
}
