package filter_test

import (
	"net/netip"
	"testing"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/packet"
)

// web is a session in a VPC of which all is known that tells Amazon DNS.
var web = &packet.Session{ID: 1, Name: "web", VNI: 7, Workload: packet.Workload{
	VPCCIDRs:    []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("100.64.0.0/16")},
	SubnetCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24")},
}}

// ported returns a frame of a protocol that has ports, between two such as
// "10.0.1.163:44321" and "[2001:db8::9]:443".
func ported(d packet.Direction, protocol uint8, from, to string) *packet.Frame {
	src, dst := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	f := plain(d, protocol, src.Addr().String(), dst.Addr().String())
	f.Header.SrcPort, f.Header.DstPort = src.Port(), dst.Port()
	return f
}

// plain returns a frame between two addresses, whose transport header was read.
func plain(d packet.Direction, protocol uint8, from, to string) *packet.Frame {
	src, dst := netip.MustParseAddr(from), netip.MustParseAddr(to)
	f := &packet.Frame{Session: web, Direction: d, Header: packet.Header{
		Src: packet.AddrFrom(src), Dst: packet.AddrFrom(dst),
		Version: 4, Protocol: protocol, Network: 14, Transport: 34,
	}}
	if src.Is6() {
		f.Header.Version, f.Header.Transport = 6, 54
	}
	return f
}

// later makes a frame a later fragment, which has no ports.
func later(f *packet.Frame) *packet.Frame {
	h := &f.Header
	h.SrcPort, h.DstPort, h.Transport, h.FragmentOffset = 0, 0, 0, 1480
	return f
}

func tcp(d packet.Direction, from, to string) *packet.Frame {
	return ported(d, packet.ProtocolTCP, from, to)
}

func udp(d packet.Direction, from, to string) *packet.Frame {
	return ported(d, packet.ProtocolUDP, from, to)
}

// rule returns a rule of all protocols and ports.
func rule(number int, a filter.Action, d packet.Direction, source, destination string) filter.Rule {
	return filter.Rule{
		Number: number, Action: a, Direction: d, Protocol: filter.AllProtocols,
		Source: netip.MustParsePrefix(source), Destination: netip.MustParsePrefix(destination),
	}
}

// of returns a rule that is of one protocol and, unless zero, these ports.
func of(protocol int, source, destination filter.Ports, r filter.Rule) filter.Rule {
	r.Protocol, r.SourcePorts, r.DestinationPorts = protocol, source, destination
	return r
}

func compile(t testing.TB, f filter.Filter) *filter.Program {
	t.Helper()
	p, err := f.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Shorthands of the tables.
const (
	in     = packet.Ingress
	out    = packet.Egress
	both   = packet.DirectionUnknown
	accept = filter.Accept
	reject = filter.Reject
	any4   = "0.0.0.0/0"
	any6   = "::/0"
)

var (
	all   filter.Ports
	https = filter.Ports{From: 443, To: 443}
)
