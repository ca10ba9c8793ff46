package decode_test

import (
	"fmt"

	"github.com/periscope-collector/periscope/packet"
)

// check returns how f, decoded from a frame of which length bytes were on the
// wire, breaks the contract of packet.Header, or nil.
func check(f *packet.Frame, length int) error {
	h := &f.Header
	ip, transport, end := h.Version != 0, h.Transport != 0, int(h.Network)+int(h.IPLength)
	ports := h.Protocol == packet.ProtocolTCP || h.Protocol == packet.ProtocolUDP || h.Protocol == packet.ProtocolSCTP
	icmp := h.Protocol == packet.ProtocolICMP || h.Protocol == packet.ProtocolICMPv6
	for _, c := range []struct {
		name string
		ok   bool
	}{
		{"length is the larger of what came and what IP claims", f.Length == max(length, end)},
		{"anomaly is one of the set", h.Anomaly < packet.NumAnomalies},
		{"at most two tags of 12 bits", h.VLANs <= 2 && h.VLAN[0] < 4096 && h.VLAN[1] < 4096},
		{"no identifier without a tag", (h.VLANs > 0 || h.VLAN[0] == 0) && (h.VLANs > 1 || h.VLAN[1] == 0)},
		{"EtherType is absent iff it was not reached", h.EtherType == 0 ||
			h.Anomaly != packet.EthernetShort && h.Anomaly != packet.VLANShort},
		{"payload is absent iff there is no Ethernet header", (h.Payload == 0) == (h.Anomaly == packet.EthernetShort)},
		{"payload lies in the frame", int(h.Payload) <= len(f.Data)},
		{"network lies behind the tags", h.Network == 0 || int(h.Network) == 14+4*int(h.VLANs)},
		{"version is that of the EtherType", h.Version == 4 && h.EtherType == 0x0800 ||
			h.Version == 6 && h.EtherType == 0x86dd || !ip},
		{"IP has an offset", !ip || h.Network != 0},
		{"addresses are absent without a network header", h.Network != 0 || h.Src.IsZero() && h.Dst.IsZero()},
		{"what IP says is absent without IP", ip || h.Protocol == 0 && h.IPLength == 0 && h.FragmentID == 0 &&
			!h.Fragment() && !transport},
		{"fragment offset is a multiple of 8", h.FragmentOffset%8 == 0},
		{"later fragment has no transport header", h.FragmentOffset == 0 || !transport},
		{"layers are in order", !transport || h.Network+20 <= h.Transport && h.Transport+8 <= h.Payload},
		{"transport header lies in the IP packet", !transport || h.IPLength == 0 || int(h.Payload) <= end},
		{"transport is of a protocol that is read", !transport || ports || icmp},
		{"ports are absent without a transport header", transport && ports || h.SrcPort == 0 && h.DstPort == 0},
		{"flags are absent without TCP", transport && h.Protocol == packet.ProtocolTCP || h.TCPFlags == 0},
		{"type and code are absent without ICMP", transport && icmp || h.ICMPType == 0 && h.ICMPCode == 0},
		{"nothing is missing without an anomaly", h.Anomaly != packet.NoAnomaly || transport ||
			h.EtherType == 0x0806 && h.Network != 0 || ip && (h.FragmentOffset != 0 || h.Protocol == 59)},
		{"anomaly is of the layer that was reached", layer(h.Anomaly).admits(h)},
	} {
		if !c.ok {
			return fmt.Errorf("does not hold: %s\n%+v\nlength %d of %d, came %d", c.name, *h, len(f.Data), f.Length, length)
		}
	}
	return nil
}

// A level is how far a frame must have been read for an anomaly to be found.
type level struct {
	etherType uint16 // 0 means any
	protocol  uint8  // 0 means any
	ip        bool
}

func (l level) admits(h *packet.Header) bool {
	return (l.etherType == 0 || l.etherType == h.EtherType) &&
		(l.protocol == 0 || l.protocol == h.Protocol) &&
		(!l.ip || h.Version != 0)
}

func layer(a packet.Anomaly) level {
	switch a {
	case packet.ARPShort, packet.ARPFormat:
		return level{etherType: 0x0806}
	case packet.IPv4Short, packet.IPv4Version, packet.IPv4HeaderLength:
		return level{etherType: 0x0800}
	case packet.IPv4TotalLength:
		return level{etherType: 0x0800, ip: true}
	case packet.IPv6Short, packet.IPv6Version:
		return level{etherType: 0x86dd}
	case packet.IPv6Extension:
		return level{etherType: 0x86dd, ip: true}
	case packet.TCPShort, packet.TCPOffset:
		return level{protocol: packet.ProtocolTCP, ip: true}
	case packet.UDPShort, packet.UDPLength:
		return level{protocol: packet.ProtocolUDP, ip: true}
	case packet.SCTPShort:
		return level{protocol: packet.ProtocolSCTP, ip: true}
	case packet.UnknownProtocol, packet.ICMPShort:
		return level{ip: true}
	}
	return level{}
}
