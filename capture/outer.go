package capture

import (
	"encoding/binary"
	"net"
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

// tunnelPorts are the UDP ports taken for tunnels.
type tunnelPorts struct{ vxlan, geneve []uint16 }

var standardPorts = tunnelPorts{[]uint16{tunnel.VXLANPort}, []uint16{tunnel.GENEVEPort}}

// outer reads the outer headers of a packet of the given link layer that was
// wire bytes long, of which pkt was captured, into h. Unless it is a datagram to
// a tunnel port, and whole but for what the capture cut, the Reason is NotTunnel
// or OuterFragment and h not valid. Checksums are not verified: tunnels leave
// them zero (RFC 7348, section 5; RFC 8926, section 3.3).
//
// It keeps nothing and allocates nothing. Headers are filled in place, here and
// below: to return a value means to copy what was just written in parts, and the
// processor waits for that.
func (p *tunnelPorts) outer(h *outerHeader, l link, pkt []byte, wire int) packet.Reason {
	etherType, off, ok := linkHeader(l, pkt)
	if ok {
		etherType, off, ok = skipVLANs(etherType, off, pkt)
	}
	if !ok {
		return packet.NotTunnel
	}
	var ip ipHeader
	switch etherType {
	case etherIPv4:
		ok = ip.parseIPv4(pkt[off:])
	case etherIPv6:
		ok = ip.parseIPv6(pkt[off:])
	default:
		ok = false
	}
	if !ok || ip.protocol != packet.ProtocolUDP {
		return packet.NotTunnel
	}
	return p.udp(h, pkt, off+ip.off, max(wire, len(pkt))-off, &ip)
}

// udpLen is the length of a UDP header (RFC 768): source port, destination
// port, length with the header, checksum, 2 bytes each.
const udpLen = 8

// udp reads the UDP header at off, behind ip. wire is how many bytes there are
// from the IP header on.
func (p *tunnelPorts) udp(h *outerHeader, pkt []byte, off, wire int, ip *ipHeader) packet.Reason {
	if ip.later {
		return packet.OuterFragment
	}
	if len(pkt)-off < udpLen {
		return packet.NotTunnel
	}
	switch port := binary.BigEndian.Uint16(pkt[off+2:]); {
	case slices.Contains(p.vxlan, port):
		h.encap = packet.VXLAN
	case slices.Contains(p.geneve, port):
		h.encap = packet.GENEVE
	default:
		return packet.NotTunnel
	}
	if ip.fragment {
		return packet.OuterFragment
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
	h.off, h.length = off+udpLen, room-udpLen
	h.end = min(h.off+h.length, len(pkt))
	if len(ip.source) == net.IPv4len {
		h.source = packet.Addr{10: 0xff, 11: 0xff}
		copy(h.source[12:], ip.source)
	} else {
		copy(h.source[:], ip.source)
	}
	return packet.None
}
