package decode

import (
	"encoding/binary"

	"github.com/periscope-collector/periscope/packet"
)

// EtherTypes that are read (IANA, IEEE 802 Numbers).
const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
)

// Lengths of fixed headers, in bytes.
const (
	tagLen  = 4
	arpLen  = 28 // IPv4 over Ethernet
	ipv4Len = 20
	ipv6Len = 40
	tcpLen  = 20
	udpLen  = 8
	icmpLen = 8
	sctpLen = 12
)

// Decode reads the headers of f.Data into f.Header, of which every field is
// reset, and raises f.Length to the real length that the IP header claims.
// Where it stops short it says so in f.Header.Anomaly, and what it read until
// then stands.
//
//   - An IP header is read, and Network set, when its addresses can be told: the
//     fixed part is there, with the right version and a possible header length.
//   - A transport header is read, and Transport set, when its fixed part lies
//     within the captured bytes and within the length of the IP packet. What is
//     behind the IP packet is padding.
//   - An IP length of 0 says nothing: the mirrored host left it to its network
//     card to fill in. The packet then ends where the frame does.
//   - The first fragment of a packet has its transport header read like any
//     other. If it is so small that the header goes on in the next fragment, the
//     header counts as cut (TCPShort and the like).
//   - Payload is behind the last header that was read; of a header of which only
//     the fixed part is there, at the end of what there is.
func Decode(f *packet.Frame) {
	h := &f.Header
	*h = packet.Header{}
	if !plainTCP(h, f.Data) {
		h.Anomaly = ethernet(h, f.Data)
	}
	f.Length = max(f.Length, int(h.Network)+int(h.IPLength))
}

// The functions below each read one layer, of which p holds the bytes and at is
// the offset in the frame, and go on to the next. The largest offset, behind two
// VLAN tags, 8 IPv6 extension headers of 2,048 bytes and a TCP header, fits
// easily in 16 bits.

func ethernet(h *packet.Header, p []byte) packet.Anomaly {
	if len(p) < packet.EthernetLen {
		return packet.EthernetShort
	}
	etherType, at := binary.BigEndian.Uint16(p[12:14]), packet.EthernetLen
	p = p[packet.EthernetLen:]
	for isTag(etherType) && int(h.VLANs) < len(h.VLAN) {
		if len(p) < tagLen {
			h.Payload = uint16(at)
			return packet.VLANShort
		}
		h.VLAN[h.VLANs] = binary.BigEndian.Uint16(p[0:2]) & 0x0fff
		h.VLANs++
		etherType = binary.BigEndian.Uint16(p[2:4])
		p, at = p[tagLen:], at+tagLen
	}
	h.EtherType, h.Payload = etherType, uint16(at)
	switch etherType {
	case etherIPv4:
		return ipv4(h, p, at)
	case etherIPv6:
		return ipv6(h, p, at)
	case etherARP:
		return arp(h, p, at)
	}
	if isTag(etherType) {
		return packet.VLANDepth
	}
	return packet.UnknownEtherType
}

// isTag reports whether a VLAN tag follows: IEEE 802.1Q, 802.1ad, or the type
// that was used for the outer tag before 802.1ad.
func isTag(etherType uint16) bool {
	return etherType == 0x8100 || etherType == 0x88a8 || etherType == 0x9100
}

// arp reads the addresses of an ARP message for IPv4 over Ethernet (RFC 826).
func arp(h *packet.Header, p []byte, at int) packet.Anomaly {
	if len(p) < 8 {
		return packet.ARPShort
	}
	if [6]byte(p[:6]) != [6]byte{0, 1, etherIPv4 >> 8, etherIPv4 & 0xff, 6, 4} {
		return packet.ARPFormat
	}
	if len(p) < arpLen {
		return packet.ARPShort
	}
	h.Network, h.Payload = uint16(at), uint16(at+arpLen)
	h.Src = packet.AddrFrom4([4]byte(p[14:18]))
	h.Dst = packet.AddrFrom4([4]byte(p[24:28]))
	return packet.NoAnomaly
}
