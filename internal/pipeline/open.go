package pipeline

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// Lengths of the headers between GENEVE and VXLAN behind a Gateway Load
// Balancer.
const (
	ipv4Len = 20
	ipv6Len = 40
	udpLen  = 8
)

// faultReasons names the reason for each fault of a tunnel header.
var faultReasons = [...]packet.Reason{
	tunnel.OK:            packet.None,
	tunnel.VXLANShort:    packet.VXLANShort,
	tunnel.VXLANFlag:     packet.VXLANFlag,
	tunnel.GENEVEVersion: packet.GENEVEVersion,
	tunnel.GENEVEOptions: packet.GENEVEOptions,
}

// open takes the tunnel headers off a datagram. It sets every field of f but
// the header, direction and session, or says in f.Reason why there is no frame;
// f.Length is then the payload's.
func open(d *packet.Datagram, f *packet.Frame) {
	f.Data, f.Session, f.Direction = nil, nil, packet.DirectionUnknown
	f.Time, f.Order, f.Length, f.Source, f.VNI = d.Time, d.Order, d.Length, d.Source, d.VNI
	f.Reason, f.Reserved, f.Cut = d.Reason, false, 0
	if d.Reason != packet.None {
		return
	}
	switch d.Encap {
	case packet.VXLAN:
		openVXLAN(d, f, d.Off)
	case packet.GENEVE:
		openGENEVE(d, f)
	case packet.Bare:
		f.Data = d.Buf[d.Off:]
	}
}

// openVXLAN finds the frame behind the VXLAN header at offset at of the buffer.
func openVXLAN(d *packet.Datagram, f *packet.Frame, at int) {
	v, frame, fault := tunnel.ParseVXLAN(d.Buf[at:])
	if fault != tunnel.OK {
		f.Reason = faultReasons[fault]
		return
	}
	f.VNI, f.Reserved = v.VNI, f.Reserved || v.Reserved
	setData(d, f, frame)
}

// setData sets the frame, and its length to what is left of the datagram's.
func setData(d *packet.Datagram, f *packet.Frame, frame []byte) {
	f.Data = frame
	f.Length = max(d.Length-(len(d.Buf)-d.Off-len(frame)), len(frame))
}

// openGENEVE finds the frame behind a GENEVE header: behind the middle IP and
// UDP headers and VXLAN, as a Gateway Load Balancer sends it, else the payload
// itself.
func openGENEVE(d *packet.Datagram, f *packet.Frame) {
	g, payload, fault := tunnel.ParseGENEVE(d.Buf[d.Off:])
	if fault != tunnel.OK {
		f.Reason = faultReasons[fault]
		return
	}
	f.VNI, f.Reserved = g.VNI, g.Reserved
	at := len(d.Buf) - len(payload)
	switch g.Protocol {
	case tunnel.ProtocolEthernet:
		setData(d, f, payload)
	case tunnel.ProtocolIPv4, tunnel.ProtocolIPv6:
		openMiddle(d, f, at, &g)
	default:
		f.Reason = packet.GENEVEPayload
	}
}

// openMiddle reads the IP packet at offset at. One to UDP 4789 carries VXLAN,
// and its source is the mirrored interface's; any other is the mirrored packet
// and gets an Ethernet header with zero addresses. A fragment of what a Gateway
// Load Balancer sends is neither.
func openMiddle(d *packet.Datagram, f *packet.Frame, at int, g *tunnel.GENEVE) {
	ip, etherType := d.Buf[at:], g.Protocol
	var source packet.Addr
	var headers int // of IP and UDP, if the packet goes to UDP 4789
	fragment := false
	switch {
	case etherType == tunnel.ProtocolIPv4 && len(ip) >= ipv4Len && ip[0]>>4 == 4:
		source = packet.AddrFrom4([4]byte(ip[12:16]))
		offset := binary.BigEndian.Uint16(ip[6:])
		fragment = offset&0x3fff != 0
		if ip[9] == packet.ProtocolUDP && offset&0x1fff == 0 {
			headers = vxlanBehind(ip, int(ip[0]&0x0f)*4)
		}
	case etherType == tunnel.ProtocolIPv6 && len(ip) >= ipv6Len && ip[0]>>4 == 6:
		source = packet.Addr(ip[8:24])
		if ip[6] == packet.ProtocolUDP {
			headers = vxlanBehind(ip, ipv6Len)
		}
	default:
		f.Reason = packet.GENEVEPayload
		return
	}
	switch {
	case fragment && (headers != 0 || g.AWS && ip[9] == packet.ProtocolUDP):
		f.Reason = packet.OuterFragment
	case headers != 0:
		f.Source = source
		openVXLAN(d, f, min(at+headers, len(d.Buf)))
	default:
		bare := d.Buf[at-packet.EthernetLen:]
		clear(bare[:packet.EthernetLen-2])
		binary.BigEndian.PutUint16(bare[packet.EthernetLen-2:], etherType)
		setData(d, f, bare)
	}
}

// vxlanBehind returns the length of the IP and UDP headers if an IP header of n
// bytes is followed by a UDP header to port 4789, which may be cut, else 0.
func vxlanBehind(ip []byte, n int) int {
	if n < ipv4Len || len(ip) < n+udpLen/2 || binary.BigEndian.Uint16(ip[n+2:]) != tunnel.VXLANPort {
		return 0
	}
	return n + udpLen
}
