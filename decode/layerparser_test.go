package decode_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/packet"
)

// A layerParser is gopacket's DecodingLayerParser over those layers that are
// safe with hostile bytes. IPv6 extension headers are not: but for hop by hop,
// which its IPv6 reads itself, they have no decoding layer or grow when reused.
type layerParser struct {
	*gopacket.DecodingLayerParser
	decoded []gopacket.LayerType

	ethernet layers.Ethernet
	tags     tags
	arp      layers.ARP
	ipv4     ipv4Layer
	ipv6     ipv6Layer
	tcp      layers.TCP
	udp      layers.UDP
	icmpv4   layers.ICMPv4
	icmpv6   layers.ICMPv6
}

func newLayerParser() *layerParser {
	p := new(layerParser)
	p.DecodingLayerParser = gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet)
	p.SetDecodingLayerContainer(gopacket.DecodingLayerSparse(nil))
	for _, l := range []gopacket.DecodingLayer{&p.ethernet, &p.tags, &p.arp, &p.ipv4, &p.ipv6, &p.tcp, &p.udp, &p.icmpv4, &p.icmpv6} {
		p.AddDecodingLayer(l)
	}
	p.IgnoreUnsupported = true
	return p
}

func (p *layerParser) parse(frame []byte) error {
	p.tags.ids = p.tags.ids[:0]
	return p.DecodeLayers(frame, &p.decoded)
}

// tags keeps the identifiers of all tags, of which Dot1Q has the last.
type tags struct {
	layers.Dot1Q
	ids []uint16
}

func (l *tags) DecodeFromBytes(b []byte, df gopacket.DecodeFeedback) error {
	err := l.Dot1Q.DecodeFromBytes(b, df)
	if err == nil {
		l.ids = append(l.ids, l.VLANIdentifier)
	}
	return err
}

// ipv4Layer and ipv6Layer do not go on to an IP header inside.
type (
	ipv4Layer struct{ layers.IPv4 }
	ipv6Layer struct{ layers.IPv6 }
)

func (l *ipv4Layer) NextLayerType() gopacket.LayerType { return notIP(l.IPv4.NextLayerType()) }
func (l *ipv6Layer) NextLayerType() gopacket.LayerType { return notIP(l.IPv6.NextLayerType()) }

func notIP(t gopacket.LayerType) gopacket.LayerType {
	if t == layers.LayerTypeIPv4 || t == layers.LayerTypeIPv6 {
		return gopacket.LayerTypeZero
	}
	return t
}

// has reports whether the layer was read.
func (p *layerParser) has(t gopacket.LayerType) bool { return slices.Contains(p.decoded, t) }

// header returns what the layers say, as far as they were read, in the fields
// of a header; without Payload, and IPLength as in the packet.
func (p *layerParser) header(frame []byte) packet.Header {
	// at returns where part, a slice of frame, begins.
	at := func(part []byte) uint16 { return uint16(cap(frame) - cap(part)) }
	var h packet.Header
	h.EtherType = uint16(p.ethernet.EthernetType)
	if p.has(layers.LayerTypeDot1Q) {
		h.EtherType = uint16(p.tags.Type)
	}
	h.VLANs = uint8(copy(h.VLAN[:], p.tags.ids))
	switch {
	case p.has(layers.LayerTypeARP):
		h.Network = at(p.arp.Contents)
		h.Src, h.Dst = fromIP(p.arp.SourceProtAddress), fromIP(p.arp.DstProtAddress)
	case p.has(layers.LayerTypeIPv4):
		ip := &p.ipv4
		h.Network, h.Version, h.Protocol = at(ip.Contents), 4, uint8(ip.Protocol)
		h.Src, h.Dst = fromIP(ip.SrcIP), fromIP(ip.DstIP)
		h.IPLength = uint32(binary.BigEndian.Uint16(ip.Contents[2:]))
		h.FragmentID, h.FragmentOffset = uint32(ip.Id), ip.FragOffset*8
		h.MoreFragments = ip.Flags&layers.IPv4MoreFragments != 0
	case p.has(layers.LayerTypeIPv6):
		ip := &p.ipv6
		h.Network, h.Version, h.Protocol = at(ip.Contents), 6, uint8(ip.NextHeader)
		h.Src, h.Dst = fromIP(ip.SrcIP), fromIP(ip.DstIP)
		if ip.Length != 0 {
			h.IPLength = 40 + uint32(ip.Length)
		}
		if ip.HopByHop != nil {
			h.Protocol = uint8(ip.HopByHop.NextHeader)
		}
	}
	switch {
	case p.has(layers.LayerTypeTCP):
		h.Transport = at(p.tcp.Contents)
		h.SrcPort, h.DstPort, h.TCPFlags = uint16(p.tcp.SrcPort), uint16(p.tcp.DstPort), flags(&p.tcp)
	case p.has(layers.LayerTypeUDP):
		h.Transport = at(p.udp.Contents)
		h.SrcPort, h.DstPort = uint16(p.udp.SrcPort), uint16(p.udp.DstPort)
	case p.has(layers.LayerTypeICMPv4):
		h.Transport = at(p.icmpv4.Contents)
		h.ICMPType, h.ICMPCode = p.icmpv4.TypeCode.Type(), p.icmpv4.TypeCode.Code()
	case p.has(layers.LayerTypeICMPv6):
		h.Transport = at(p.icmpv6.Contents)
		h.ICMPType, h.ICMPCode = p.icmpv6.TypeCode.Type(), p.icmpv6.TypeCode.Code()
	}
	return h
}

func fromIP(ip net.IP) packet.Addr { return packet.Addr(ip.To16()) }

func flags(t *layers.TCP) (flags uint8) {
	for i, set := range []bool{t.FIN, t.SYN, t.RST, t.PSH, t.ACK, t.URG, t.ECE, t.CWR} {
		if set {
			flags |= 1 << i
		}
	}
	return flags
}

// compareLayers returns how decode and gopacket differ on a frame, or nil.
// Frames are compared that decode reads without an anomaly, as far as gopacket
// goes.
func compareLayers(frame []byte) error {
	got := read(frame, len(frame)).Header
	if got.Anomaly != packet.NoAnomaly {
		return nil
	}
	p := newLayerParser()
	fault := p.parse(frame)
	want := p.header(frame)
	if len(p.tags.ids) < int(got.VLANs) || want.Network == 0 {
		// It does not know 0x9100, and refuses odd options and lengths of 0.
		if fault == nil && got.VLAN == want.VLAN && got.VLANs == want.VLANs {
			return fmt.Errorf("gopacket stopped without reason\n got %+v\nwant %+v", got, want)
		}
		return nil
	}
	if p.has(layers.LayerTypeIPv6) && p.ipv6.HopByHop != nil && p.ipv6.Length == 0 {
		return nil // it takes a jumbogram's extension header for the transport header
	}
	got.Payload = 0
	if want.Transport == 0 {
		// Nor does it go on with a fault, in fragments, extension headers, SCTP.
		if fault == nil && got.Transport != 0 && !got.Fragment() && got.Protocol == want.Protocol && got.Protocol != packet.ProtocolSCTP {
			return fmt.Errorf("gopacket stopped before the transport header\n got %+v\nwant %+v", got, want)
		}
		got.Transport, got.SrcPort, got.DstPort, got.TCPFlags, got.ICMPType, got.ICMPCode = 0, 0, 0, 0, 0, 0
		if want.Version == 6 && isExtension(want.Protocol) {
			got.Protocol, got.MoreFragments, got.FragmentOffset, got.FragmentID = want.Protocol, false, 0, 0
		}
	}
	if got != want {
		return fmt.Errorf("headers differ\n got %+v\nwant %+v", got, want)
	}
	return nil
}

func isExtension(protocol uint8) bool {
	return slices.Contains([]uint8{0, 43, 44, 51, 60}, protocol)
}

func TestLayerParserAgrees(t *testing.T) {
	for _, c := range fixtures() {
		if err := compareLayers(wire(c.frame)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	stacks := traffic.NewStacks(6)
	for range 3 * stacks.Cycle() {
		if err := compareLayers(stacks.Next()); err != nil {
			t.Errorf("%s: %v", stacks.Name(), err)
		}
	}
}

func FuzzLayerParser(f *testing.F) {
	for _, c := range fixtures() {
		f.Add(wire(c.frame))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if err := compareLayers(frame); err != nil {
			t.Fatal(err)
		}
	})
}
