package filter_test

import (
	"math"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/packet"
)

// allTraffic is what AWS calls so: four rules and the network service.
func allTraffic(dns bool) filter.Filter {
	return filter.Filter{Name: "all", AmazonDNS: dns, Rules: []filter.Rule{
		rule(1, accept, in, any4, any4), rule(2, accept, in, any6, any6),
		rule(1, accept, out, any4, any4), rule(2, accept, out, any6, any6),
	}}
}

func rules(list ...filter.Rule) filter.Filter { return filter.Filter{Name: "test", Rules: list} }

// TestReference has a case for each rule of AWS's (EC2 API,
// TrafficMirrorFilterRule; Amazon VPC Traffic Mirroring, "Filters", "Network
// services", "Considerations").
func TestReference(t *testing.T) {
	web4, web6 := "10.0.1.163:443", "[2001:db8::163]:443"
	client4, client6 := "203.0.113.9:50000", "[2001:db8:9::9]:50000"
	const vpc = "10.0.0.0/16"
	for _, c := range []struct {
		name    string
		filter  filter.Filter
		frame   *packet.Frame
		verdict filter.Verdict
	}{
		{"a filter without rules mirrors nothing", rules(),
			tcp(in, client4, web4), filter.Verdict{reject, filter.NoRule}},
		{"no rule matches: not mirrored", rules(rule(1, reject, in, vpc, any4)),
			tcp(in, client4, web4), filter.Verdict{reject, filter.NoRule}},
		{"no egress rules, no egress traffic", rules(rule(1, accept, in, any4, any4)),
			tcp(out, web4, client4), filter.Verdict{reject, filter.NoRule}},
		{"no ingress rules, no ingress traffic", rules(rule(1, accept, out, any4, any4)),
			tcp(in, client4, web4), filter.Verdict{reject, filter.NoRule}},
		{"numbers ascend: accept before reject", rules(rule(10, accept, in, any4, any4), rule(20, reject, in, any4, any4)),
			tcp(in, client4, web4), filter.Verdict{accept, 0}},
		{"numbers ascend, whatever the order they are listed in", rules(rule(20, accept, in, any4, any4), rule(10, reject, in, any4, any4)),
			tcp(in, client4, web4), filter.Verdict{reject, 1}},
		{"the first that matches decides, not the first", rules(rule(1, reject, in, vpc, any4), rule(2, accept, in, any4, any4)),
			tcp(in, client4, web4), filter.Verdict{accept, 1}},
		{"each direction has its own numbers", rules(rule(1, reject, in, any4, any4), rule(1, accept, out, any4, any4)),
			tcp(out, web4, client4), filter.Verdict{accept, 1}},

		{"no protocol: all of them", rules(rule(1, accept, in, any4, any4)),
			plain(in, 47, "203.0.113.9", "10.0.1.163"), filter.Verdict{accept, 0}},
		{"another protocol", rules(of(6, all, all, rule(1, accept, in, any4, any4))),
			udp(in, client4, web4), filter.Verdict{reject, filter.NoRule}},
		{"protocol 0 is one, not all", rules(of(0, all, all, rule(1, accept, in, any4, any4))),
			tcp(in, client4, web4), filter.Verdict{reject, filter.NoRule}},
		{"protocol 0 matches itself", rules(of(0, all, all, rule(1, accept, in, any4, any4))),
			plain(in, 0, "203.0.113.9", "10.0.1.163"), filter.Verdict{accept, 0}},
		{"protocol 255", rules(of(255, all, all, rule(1, accept, in, any4, any4))),
			plain(in, 255, "203.0.113.9", "10.0.1.163"), filter.Verdict{accept, 0}},

		{"the source is the packet's, not the peer's", rules(rule(1, accept, out, vpc, any4)),
			tcp(out, web4, client4), filter.Verdict{accept, 0}},
		{"non-local traffic, in: reject what comes from the VPC", rules(rule(10, reject, in, vpc, any4), rule(20, accept, in, any4, any4)),
			tcp(in, "10.0.2.9:50000", web4), filter.Verdict{reject, 0}},
		{"non-local traffic, out: reject what goes to the VPC", rules(rule(10, reject, out, any4, vpc), rule(20, accept, out, any4, any4)),
			tcp(out, web4, "10.0.2.9:50000"), filter.Verdict{reject, 0}},
		{"both ends must be in their prefix", rules(rule(1, accept, in, vpc, vpc)),
			tcp(in, client4, web4), filter.Verdict{reject, filter.NoRule}},
		{"0.0.0.0/0 does not match IPv6", rules(rule(1, accept, in, any4, any4)),
			tcp(in, client6, web6), filter.Verdict{reject, filter.NoRule}},
		{"::/0 does not match IPv4", rules(rule(1, accept, in, any6, any6)),
			tcp(in, client4, web4), filter.Verdict{reject, filter.NoRule}},
		{"::/0 matches IPv6", rules(rule(1, accept, in, any6, any6)),
			tcp(in, client6, web6), filter.Verdict{accept, 0}},
		{"an IPv4 address within IPv6 is of IPv6", rules(rule(1, reject, in, any4, any4), rule(2, accept, in, any6, any6)),
			tcp(in, "[::ffff:10.0.2.9]:1", "[::ffff:10.0.1.163]:443"), filter.Verdict{accept, 1}},

		{"ports are within a range", rules(of(6, all, filter.Ports{From: 400, To: 443}, rule(1, accept, in, any4, any4))),
			tcp(in, client4, web4), filter.Verdict{accept, 0}},
		{"a range of source ports and one of destination ports", rules(of(17, https, https, rule(1, accept, in, any4, any4))),
			udp(in, client4, web4), filter.Verdict{reject, filter.NoRule}},
		{"answers are not implied", rules(of(6, all, https, rule(1, accept, in, any4, any4)), of(6, all, https, rule(1, accept, out, any4, any4))),
			tcp(out, web4, client4), filter.Verdict{reject, filter.NoRule}},
		{"answers take a rule of their own", rules(of(6, all, https, rule(1, accept, in, any4, any4)), of(6, https, all, rule(1, accept, out, any4, any4))),
			tcp(out, web4, client4), filter.Verdict{accept, 1}},
		{"ports without a protocol: TCP", rules(of(-1, all, https, rule(1, accept, in, any4, any4))),
			tcp(in, client4, web4), filter.Verdict{accept, 0}},
		{"ports without a protocol: not SCTP", rules(of(-1, all, https, rule(1, accept, in, any4, any4))),
			ported(in, packet.ProtocolSCTP, client4, web4), filter.Verdict{reject, filter.NoRule}},
		{"ports of another protocol never match", rules(of(1, all, filter.Ports{To: 65535}, rule(1, accept, in, any4, any4))),
			plain(in, 1, "203.0.113.9", "10.0.1.163"), filter.Verdict{reject, filter.NoRule}},
		{"every port is not no port: a later fragment has none", rules(of(17, all, filter.Ports{To: 65535}, rule(1, accept, in, any4, any4))),
			later(udp(in, client4, web4)), filter.Verdict{reject, filter.NoRule}},
		{"a rule without ports matches a later fragment", rules(of(17, all, all, rule(1, accept, in, any4, any4))),
			later(udp(in, client4, web4)), filter.Verdict{accept, 0}},

		{"amazon-dns: queries, whatever the rules", filter.Filter{AmazonDNS: true, Rules: []filter.Rule{rule(1, reject, out, any4, any4)}},
			udp(out, "10.0.1.163:40000", "10.0.0.2:53"), filter.Verdict{accept, filter.AmazonDNS}},
		{"amazon-dns: answers, without rules", filter.Filter{AmazonDNS: true},
			udp(in, "10.0.0.2:53", "10.0.1.163:40000"), filter.Verdict{accept, filter.AmazonDNS}},
		{"amazon-dns: over TCP", filter.Filter{AmazonDNS: true},
			tcp(out, "10.0.1.163:40000", "10.0.0.2:53"), filter.Verdict{accept, filter.AmazonDNS}},
		{"amazon-dns: link-local", filter.Filter{AmazonDNS: true},
			udp(out, "10.0.1.163:40000", "169.254.169.253:53"), filter.Verdict{accept, filter.AmazonDNS}},
		{"amazon-dns: over IPv6", filter.Filter{AmazonDNS: true},
			udp(out, "[2001:db8::163]:40000", "[fd00:ec2::253]:53"), filter.Verdict{accept, filter.AmazonDNS}},
		{"amazon-dns: subnet base+2", filter.Filter{AmazonDNS: true},
			udp(out, "10.0.1.163:40000", "10.0.1.2:53"), filter.Verdict{accept, filter.AmazonDNS}},
		{"amazon-dns: later fragments of an answer", filter.Filter{AmazonDNS: true},
			later(udp(in, "10.0.0.2:53", "10.0.1.163:40000")), filter.Verdict{accept, filter.AmazonDNS}},
		{"without amazon-dns an accept-all rule does not mirror it", allTraffic(false),
			udp(out, "10.0.1.163:40000", "10.0.0.2:53"), filter.Verdict{reject, filter.AmazonDNS}},
		{"amazon-dns is of the primary CIDR", filter.Filter{AmazonDNS: true},
			udp(out, "10.0.1.163:40000", "100.64.0.2:53"), filter.Verdict{reject, filter.NoRule}},
		{"another resolver takes rules", filter.Filter{AmazonDNS: true, Rules: []filter.Rule{rule(1, accept, out, any4, any4)}},
			udp(out, "10.0.1.163:40000", "8.8.8.8:53"), filter.Verdict{accept, 0}},
		{"another port of the resolver takes rules", allTraffic(false),
			tcp(out, "10.0.1.163:53", "10.0.0.2:443"), filter.Verdict{accept, 2}},
		{"ping of the resolver takes rules", allTraffic(false),
			plain(out, 1, "10.0.1.163", "10.0.0.2"), filter.Verdict{accept, 2}},
		{"all traffic: IPv4", allTraffic(true), tcp(in, client4, web4), filter.Verdict{accept, 0}},
		{"all traffic: IPv6", allTraffic(true), tcp(out, web6, client6), filter.Verdict{accept, 3}},
		{"what is not IP is not mirrored", allTraffic(true), &packet.Frame{Session: web, Direction: in,
			Header: packet.Header{EtherType: 0x0806, Network: 14, Src: packet.AddrFrom4([4]byte{10, 0, 1, 9})}}, filter.Verdict{reject, filter.NoRule}},

		{"unknown direction: as ingress", rules(rule(1, accept, in, any4, any4)), tcp(both, client4, web4), filter.Verdict{accept, 0}},
		{"unknown direction: as egress", rules(rule(1, reject, in, any4, any4), rule(1, accept, out, any4, any4)),
			tcp(both, client4, web4), filter.Verdict{accept, 1}},
		{"unknown direction: as neither", rules(rule(1, reject, in, any4, any4), rule(1, reject, out, any4, any4)),
			tcp(both, client4, web4), filter.Verdict{reject, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := compile(t, c.filter)
			if got := p.Match(c.frame); got != c.verdict {
				t.Errorf("%+v, want %+v", got, c.verdict)
			}
			if got := p.Accepts(c.frame); got != (c.verdict.Action == accept) {
				t.Errorf("accepted %v", got)
			}
		})
	}
}

// TestEdges has the values beside each limit of a rule.
func TestEdges(t *testing.T) {
	last := filter.Ports{From: 65535, To: 65535}
	middle := filter.Ports{From: 100, To: 200}
	for _, c := range []struct {
		name   string
		rule   filter.Rule
		frame  *packet.Frame
		accept bool
	}{
		{"port 99", of(6, all, middle, rule(1, accept, in, any4, any4)), tcp(in, "1.1.1.1:1", "2.2.2.2:99"), false},
		{"port 100", of(6, all, middle, rule(1, accept, in, any4, any4)), tcp(in, "1.1.1.1:1", "2.2.2.2:100"), true},
		{"port 200", of(6, middle, all, rule(1, accept, in, any4, any4)), tcp(in, "1.1.1.1:200", "2.2.2.2:1"), true},
		{"port 201", of(6, middle, all, rule(1, accept, in, any4, any4)), tcp(in, "1.1.1.1:201", "2.2.2.2:1"), false},
		{"port 0 is below 1", of(6, all, filter.Ports{From: 1, To: 65535}, rule(1, accept, in, any4, any4)), tcp(in, "1.1.1.1:1", "2.2.2.2:0"), false},
		{"port 0 is in 0-1", of(6, all, filter.Ports{To: 1}, rule(1, accept, in, any4, any4)), tcp(in, "1.1.1.1:1", "2.2.2.2:0"), true},
		{"port 65535 is not in 0-1", of(6, all, filter.Ports{To: 1}, rule(1, accept, in, any4, any4)), tcp(in, "1.1.1.1:1", "2.2.2.2:65535"), false},
		{"port 65534", of(6, all, last, rule(1, accept, in, any4, any4)), tcp(in, "1.1.1.1:1", "2.2.2.2:65534"), false},
		{"port 65535", of(6, all, last, rule(1, accept, in, any4, any4)), tcp(in, "1.1.1.1:1", "2.2.2.2:65535"), true},
		{"every port, port 0", of(6, all, all, rule(1, accept, in, any4, any4)), tcp(in, "1.1.1.1:0", "2.2.2.2:0"), true},

		{"/0", rule(1, accept, in, any4, any4), tcp(in, "0.0.0.0:1", "255.255.255.255:1"), true},
		{"/32", rule(1, accept, in, "10.0.0.1/32", any4), tcp(in, "10.0.0.1:1", "2.2.2.2:1"), true},
		{"/32, one below", rule(1, accept, in, "10.0.0.1/32", any4), tcp(in, "10.0.0.0:1", "2.2.2.2:1"), false},
		{"/32, one above", rule(1, accept, in, any4, "10.0.0.1/32"), tcp(in, "2.2.2.2:1", "10.0.0.2:1"), false},
		{"/31", rule(1, accept, in, "10.0.0.0/31", any4), tcp(in, "10.0.0.1:1", "2.2.2.2:1"), true},
		{"/1", rule(1, accept, in, "128.0.0.0/1", any4), tcp(in, "128.0.0.0:1", "2.2.2.2:1"), true},
		{"/1, one below", rule(1, accept, in, "128.0.0.0/1", any4), tcp(in, "127.255.255.255:1", "2.2.2.2:1"), false},
		{"bits beyond the length do not count", rule(1, accept, in, "10.0.0.1/24", any4), tcp(in, "10.0.0.9:1", "2.2.2.2:1"), true},

		{"::/0", rule(1, accept, in, any6, any6), tcp(in, "[::]:1", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1"), true},
		{"IPv6 /32", rule(1, accept, in, "2001:db8::/32", any6), tcp(in, "[2001:db8:ffff::1]:1", "[::1]:1"), true},
		{"IPv6 /32, another", rule(1, accept, in, "2001:db8::/32", any6), tcp(in, "[2001:db9::1]:1", "[::1]:1"), false},
		{"IPv6 /33", rule(1, accept, in, "2001:db8::/33", any6), tcp(in, "[2001:db8:7fff::1]:1", "[::1]:1"), true},
		{"IPv6 /33, the other half", rule(1, accept, in, "2001:db8::/33", any6), tcp(in, "[2001:db8:8000::1]:1", "[::1]:1"), false},
		{"IPv6 /64", rule(1, accept, in, any6, "2001:db8::/64"), tcp(in, "[::1]:1", "[2001:db8::ffff:0:0:1]:1"), true},
		{"IPv6 /64, the next", rule(1, accept, in, any6, "2001:db8::/64"), tcp(in, "[::1]:1", "[2001:db8:0:1::]:1"), false},
		{"IPv6 /65", rule(1, accept, in, any6, "2001:db8::/65"), tcp(in, "[::1]:1", "[2001:db8::8000:0:0:0]:1"), false},
		{"IPv6 /128", rule(1, accept, in, any6, "2001:db8::1/128"), tcp(in, "[::1]:1", "[2001:db8::1]:1"), true},
		{"IPv6 /128, one above", rule(1, accept, in, any6, "2001:db8::1/128"), tcp(in, "[::1]:1", "[2001:db8::2]:1"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := compile(t, rules(c.rule)).Accepts(c.frame); got != c.accept {
				t.Errorf("accepted %v, want %v", got, c.accept)
			}
		})
	}
}

func TestCompileErrors(t *testing.T) {
	good := rule(1, accept, in, any4, any4)
	with := func(change func(*filter.Rule)) []filter.Rule {
		r := good
		change(&r)
		return []filter.Rule{good, r}
	}
	many := make([]filter.Rule, 0, filter.MaxRules+1)
	for i := range filter.MaxRules + 1 {
		many = append(many, rule(i+1, accept, out, any4, any4))
	}
	if _, err := (&filter.Filter{Rules: append([]filter.Rule{good}, many[:filter.MaxRules]...)}).Compile(); err != nil {
		t.Errorf("%d rules in a direction: %v", filter.MaxRules, err)
	}
	for _, c := range []struct {
		want  string
		rules []filter.Rule
	}{
		{"rules[1].number: 1 is the number of an ingress rule above too", []filter.Rule{good, good}},
		{"rules[1].number: must be 1 to", with(func(r *filter.Rule) { r.Number = 0 })},
		{"rules[1].number: must be 1 to", with(func(r *filter.Rule) { r.Number = math.MaxInt32 + 1 })},
		{"rules[1].action", with(func(r *filter.Rule) { r.Action = 0 })},
		{"rules[1].action", with(func(r *filter.Rule) { r.Action = 3 })},
		{"rules[1].direction", with(func(r *filter.Rule) { r.Direction = both })},
		{"rules[1].direction", with(func(r *filter.Rule) { r.Direction = packet.NumDirections })},
		{"rules[1].protocol", with(func(r *filter.Rule) { r.Protocol = -2 })},
		{"rules[1].protocol", with(func(r *filter.Rule) { r.Protocol = 256 })},
		{"rules[1].source: must be a prefix", with(func(r *filter.Rule) { r.Source = filter.Rule{}.Source })},
		{"rules[1].source: ::ffff:10.0.0.0/104 is IPv4 in IPv6", []filter.Rule{good, rule(2, accept, in, "::ffff:10.0.0.0/104", any6)}},
		{"rules[1].destination: ::/0 is of another family", []filter.Rule{good, rule(2, accept, in, any4, any6)}},
		{"rules[1].source_ports: begins at 2", with(func(r *filter.Rule) { r.SourcePorts = filter.Ports{From: 2, To: 1} })},
		{"rules[1].destination_ports: begins at 2", with(func(r *filter.Rule) { r.DestinationPorts = filter.Ports{From: 2} })},
		{"rules[1000].direction: 1000 rules are the most that are egress", many},
	} {
		_, err := (&filter.Filter{Name: "web", Rules: c.rules}).Compile()
		if err == nil || !strings.HasPrefix(err.Error(), "filter web: "+c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

// A direction can be accepted if a rule of any family accepts and none before it
// rejects all of that family; Amazon DNS does not count.
func TestCanAccept(t *testing.T) {
	for _, c := range []struct {
		name    string
		filter  filter.Filter
		in, out bool
	}{
		{"all", allTraffic(true), true, true},
		{"none", rules(), false, false},
		{"Amazon DNS alone", filter.Filter{Name: "dns", AmazonDNS: true}, false, false},
		{"ingress", rules(rule(1, accept, in, any4, any4)), true, false},
		{"egress of IPv6", rules(rule(1, accept, out, any6, any6)), false, true},
		{"rejected as a whole", rules(rule(1, reject, in, any4, any4), rule(2, accept, in, any4, any4)), false, false},
		{"rejected as a whole later", rules(rule(2, reject, in, any4, any4), rule(1, accept, in, any4, any4)), true, false},
		{"another family is rejected", rules(rule(1, reject, in, any6, any6), rule(2, accept, in, any4, any4)), true, false},
		{"a prefix is rejected", rules(rule(1, reject, in, any4, "10.0.0.0/8"), rule(2, accept, in, any4, any4)), true, false},
		{"a prefix of IPv6 is rejected", rules(rule(1, reject, in, "2001:db8::/32", any6), rule(2, accept, in, any6, any6)), true, false},
		{"half of IPv6 is rejected", rules(rule(1, reject, in, any6, "::/1"), rule(2, accept, in, any6, any6)), true, false},
		{"a protocol is rejected", rules(of(6, all, all, rule(1, reject, in, any4, any4)), rule(2, accept, in, any4, any4)), true, false},
	} {
		p, err := c.filter.Compile()
		if err != nil {
			t.Fatal(err)
		}
		if gotIn, gotOut := p.CanAccept(in), p.CanAccept(out); gotIn != c.in || gotOut != c.out {
			t.Errorf("%s: ingress %t, egress %t; want %t, %t", c.name, gotIn, gotOut, c.in, c.out)
		}
	}
}
