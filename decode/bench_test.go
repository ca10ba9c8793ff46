package decode_test

import (
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
)

// Frames by protocol, the same for every decoder.
var benchFrames = []struct{ name, fixture string }{
	{"tcp4", "ipv4_tcp"},
	{"tcp4options", "tcp_40_bytes_of_options"},
	{"udp4", "udp"},
	{"vlan4", "vlan_priority_is_not_identifier"},
	{"tcp6", "ipv6_tcp"},
	{"udp6", "vlan_802.1ad_outer"},
	{"icmp4", "icmp_unreachable_quotes_another_packet"},
	{"icmp6", "icmpv6_neighbour_solicitation"},
	{"arp", "arp_request_padded"},
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range benchFrames {
		data := named(c.fixture)
		b.Run("ours/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			f := packet.Frame{Data: data}
			for b.Loop() {
				f.Length = len(data)
				decode.Decode(&f)
			}
			if f.Header.Anomaly != packet.NoAnomaly {
				b.Fatal(f.Header.Anomaly)
			}
		})
		b.Run("layerparser/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			p := newLayerParser()
			for b.Loop() {
				if err := p.parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("newpacket/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.NoCopy)
				if p.NetworkLayer() == nil && p.Layer(layers.LayerTypeARP) == nil {
					b.Fatal(p.ErrorLayer())
				}
			}
		})
	}
}

func BenchmarkFlowHash(b *testing.B) {
	for _, c := range benchFrames {
		data := named(c.fixture)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				decode.FlowHash(data)
			}
		})
	}
}
