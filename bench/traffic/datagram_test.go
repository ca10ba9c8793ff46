package traffic

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/tunnel"
)

func TestAppendVXLANIsReadBack(t *testing.T) {
	frame := NewFrames(FramesConfig{}).Next()
	b := AppendVXLAN([]byte("before"), 0xff123456, frame)
	v, inner, fault := tunnel.ParseVXLAN(b[len("before"):])
	if fault != tunnel.OK || v != (tunnel.VXLAN{VNI: 0x123456}) || !bytes.Equal(inner, frame) {
		t.Errorf("%+v, fault %d, %d bytes", v, fault, len(inner))
	}
}

// Outer packets of both families, with VXLAN and, behind a Gateway Load
// Balancer, GENEVE with VXLAN of both families.
func TestOuterPacketsSatisfyTshark(t *testing.T) {
	g4, t4 := netip.MustParseAddr("10.0.9.9"), netip.MustParseAddr("10.0.1.163")
	s4, s6, t6 := netip.MustParseAddr("10.0.1.23"), netip.MustParseAddr("fd50::23"), netip.MustParseAddr("fd50::1")
	geneve := tunnel.GENEVE{Endpoint: 0x1122334455667788, Attachment: 9, Cookie: 0xc0c1c2c3}
	frames, n := NewFrames(FramesConfig{}), 0
	path := writeCapture(t, 400, func(b []byte) []byte {
		frame := frames.Next()
		port := SourcePort(frame)
		n++
		switch n % 4 {
		case 0:
			return AppendOuter(b, netip.AddrPortFrom(s4, port), netip.AddrPortFrom(t4, tunnel.VXLANPort), AppendVXLAN(nil, 7, frame))
		case 1:
			return AppendOuter(b, netip.AddrPortFrom(s6, port), netip.AddrPortFrom(t6, tunnel.VXLANPort), AppendVXLAN(nil, 7, frame))
		case 2:
			payload := AppendGENEVE(nil, geneve, s4, t4, 7, frame)
			return AppendOuter(b, netip.AddrPortFrom(g4, 60000), netip.AddrPortFrom(t4, tunnel.GENEVEPort), payload)
		default:
			payload := AppendGENEVE(nil, geneve, s6, t6, 7, frame)
			return AppendOuter(b, netip.AddrPortFrom(g4, 60000), netip.AddrPortFrom(t4, tunnel.GENEVEPort), payload)
		}
	})
	if out := tshark(t, path, "-o", "udp.ignore_ipv6_zero_checksum:TRUE", "-Y", faulty); out != "" {
		t.Errorf("tshark objects:\n%s", head(out, 10))
	}
	for filter, want := range map[string]int{
		"vxlan.vni == 7 && vxlan.flag_i == 1 && udp.srcport >= 65408":              400,
		"geneve && udp.dstport == 6081 && udp.dstport == 4789":                     200,
		"udp.checksum == 0 && ip.ttl == 255 && ip.id == 0 && ip.flags.df == 0":     300,
		"geneve.option.class == 0x0108 && geneve.options && geneve.vni == 0":       200,
		"(ipv6.hlim == 255 && udp.checksum == 0) && vxlan && ipv6.src == fd50::23": 200,
	} {
		if got := strings.Count(tshark(t, path, "-Y", filter), "\n"); got != want {
			t.Errorf("%s: %d packets, want %d", filter, got, want)
		}
	}
}
