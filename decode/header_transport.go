package decode

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// transport reads the header of h.Protocol. p ends where the IP packet does, and
// h.Payload is at already.
func transport(h *packet.Header, p []byte, at int) packet.Anomaly {
	switch h.Protocol {
	case packet.ProtocolTCP:
		return tcp(h, p, at)
	case packet.ProtocolUDP:
		return udp(h, p, at)
	case packet.ProtocolICMP, packet.ProtocolICMPv6:
		return icmp(h, p, at)
	case packet.ProtocolSCTP:
		return sctp(h, p, at)
	case noNextHeader:
		return packet.NoAnomaly
	}
	return packet.UnknownProtocol
}

// tcp reads a TCP header (RFC 9293, section 3.1).
func tcp(h *packet.Header, p []byte, at int) packet.Anomaly {
	if len(p) < tcpLen {
		return packet.TCPShort
	}
	b := (*[tcpLen]byte)(p)
	headerLen := int(b[12]>>4) * 4
	h.Transport, h.Payload = uint16(at), uint16(at+min(max(headerLen, tcpLen), len(p)))
	h.SrcPort = binary.BigEndian.Uint16(b[0:2])
	h.DstPort = binary.BigEndian.Uint16(b[2:4])
	h.TCPFlags = b[13]
	if headerLen < tcpLen {
		return packet.TCPOffset
	}
	if len(p) < headerLen {
		return packet.TCPShort
	}
	return packet.NoAnomaly
}

// udp reads a UDP header (RFC 768). Like an IP length, a length of 0 says
// nothing (RFC 2675, section 4).
func udp(h *packet.Header, p []byte, at int) packet.Anomaly {
	if len(p) < udpLen {
		return packet.UDPShort
	}
	b := (*[udpLen]byte)(p)
	h.Transport, h.Payload = uint16(at), uint16(at+udpLen)
	h.SrcPort = binary.BigEndian.Uint16(b[0:2])
	h.DstPort = binary.BigEndian.Uint16(b[2:4])
	if n := binary.BigEndian.Uint16(b[4:6]); n < udpLen && n != 0 {
		return packet.UDPLength
	}
	return packet.NoAnomaly
}

// icmp reads the part that all messages of ICMP (RFC 792) and ICMPv6 (RFC 4443,
// section 2.1) begin with.
func icmp(h *packet.Header, p []byte, at int) packet.Anomaly {
	if len(p) < icmpLen {
		return packet.ICMPShort
	}
	h.Transport, h.Payload = uint16(at), uint16(at+icmpLen)
	h.ICMPType, h.ICMPCode = p[0], p[1]
	return packet.NoAnomaly
}

// sctp reads the common header of SCTP (RFC 9260, section 3.1).
func sctp(h *packet.Header, p []byte, at int) packet.Anomaly {
	if len(p) < sctpLen {
		return packet.SCTPShort
	}
	h.Transport, h.Payload = uint16(at), uint16(at+sctpLen)
	h.SrcPort = binary.BigEndian.Uint16(p[0:2])
	h.DstPort = binary.BigEndian.Uint16(p[2:4])
	return packet.NoAnomaly
}
