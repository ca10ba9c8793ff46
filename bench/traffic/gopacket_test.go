package traffic

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/periscope-collector/periscope/packet"
)

// TestStacksSatisfyGopacket feeds gopacket frames of which it is known that no
// port leads it into a decoder of applications.
func TestStacksSatisfyGopacket(t *testing.T) {
	want := map[string]gopacket.LayerType{
		"arp": layers.LayerTypeARP, "tcp": layers.LayerTypeTCP, "sctp": layers.LayerTypeSCTPData,
		"udp": layers.LayerTypeUDP, "udp-zero": layers.LayerTypeUDP,
		"echo": layers.LayerTypeICMPv6Echo, "error": layers.LayerTypeICMPv6, "mld": layers.LayerTypeMLDv2MulticastListenerReport,
		"nd": layers.LayerTypeICMPv6, "timestamp": layers.LayerTypeICMPv4,
	}
	g := NewStacks(5)
	seen := make(map[string]bool)
	for range 2 * g.Cycle() {
		frame := g.Next()
		if binary.BigEndian.Uint16(frame[12:]) == etherOldTag { // which it does not know
			binary.BigEndian.PutUint16(frame[12:], etherVLAN)
		}
		p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.NoCopy)
		if p.ErrorLayer() != nil {
			t.Fatalf("%s: %v\n%x", g.Name(), p.ErrorLayer().Error(), frame)
		}
		seen[g.Name()] = true
		link, network, transport := g.current.link, g.current.network, g.current.transport
		tags := 0
		for _, l := range p.Layers() {
			if l.LayerType() == layers.LayerTypeDot1Q {
				tags++
			}
		}
		if tags != len(link.tags) {
			t.Errorf("%s: %d tags", g.Name(), tags)
		}
		if network.split || slices.Contains(network.chain, extFragment) {
			if p.Layer(gopacket.LayerTypeFragment) == nil {
				t.Errorf("%s: not a fragment: %v", g.Name(), p)
			}
			continue
		}
		last := want[transport.name]
		if transport.protocol == packet.ProtocolICMP {
			last = layers.LayerTypeICMPv4
		}
		if p.Layer(last) == nil {
			t.Errorf("%s: no %v: %v", g.Name(), last, p)
		}
	}
	if len(seen) != len(g.stacks) {
		t.Errorf("%d stacks of %d seen", len(seen), len(g.stacks))
	}
}

func TestPcapIsReadByOthers(t *testing.T) {
	b := AppendPcapHeader(nil, LinkEthernet)
	b = AppendPcapRecord(b, 1_700_000_000_123_456_789, []byte("whole"), 5)
	b = AppendPcapRecord(b, 1_700_000_001_000_000_001, []byte("cut"), 9001)
	r, err := pcapgo.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		ns     int64
		data   string
		length int
	}{{1_700_000_000_123_456_789, "whole", 5}, {1_700_000_001_000_000_001, "cut", 9001}} {
		data, info, err := r.ReadPacketData()
		if err != nil || string(data) != want.data || info.Length != want.length || info.Timestamp.UnixNano() != want.ns {
			t.Errorf("%q, %+v, %v; want %+v", data, info, err, want)
		}
	}
	if r.LinkType() != layers.LinkTypeEthernet {
		t.Errorf("link type %v", r.LinkType())
	}
}
