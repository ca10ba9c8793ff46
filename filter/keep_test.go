package filter_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/packet"
)

var everything = filter.Match{VNI: filter.AnyVNI}

func policy(t testing.TB, rules ...filter.KeepRule) *filter.Policy {
	t.Helper()
	p, err := filter.NewPolicy(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMatch(t *testing.T) {
	s := &packet.Session{Name: "shop-0a1b2c3d", VNI: 7, Workload: packet.Workload{
		SessionID: "tms-1", Service: "shop", Cluster: "prod", Labels: map[string]string{"team": "web", "empty": ""},
	}}
	for _, c := range []struct {
		name  string
		match filter.Match
		meets bool
	}{
		{"nothing set", everything, true},
		{"name", filter.Match{Session: "shop-0a1b2c3d", VNI: -1}, true},
		{"id", filter.Match{Session: "tms-1", VNI: -1}, true},
		{"another name", filter.Match{Session: "shop", VNI: -1}, false},
		{"service", filter.Match{Service: "shop", VNI: -1}, true},
		{"another service", filter.Match{Service: "shop-0a1b2c3d", VNI: -1}, false},
		{"cluster", filter.Match{Cluster: "prod", VNI: -1}, true},
		{"another cluster", filter.Match{Cluster: "test", VNI: -1}, false},
		{"VNI", filter.Match{VNI: 7}, true},
		{"VNI 0 is one", filter.Match{VNI: 0}, false},
		{"label", filter.Match{LabelKey: "team", VNI: -1}, true},
		{"label without a value", filter.Match{LabelKey: "empty", VNI: -1}, true},
		{"label and value", filter.Match{LabelKey: "team", LabelValue: "web", VNI: -1}, true},
		{"label, another value", filter.Match{LabelKey: "team", LabelValue: "db", VNI: -1}, false},
		{"label it has not", filter.Match{LabelKey: "web", VNI: -1}, false},
		{"all of it", filter.Match{Session: "tms-1", Service: "shop", Cluster: "prod", LabelKey: "team", LabelValue: "web", VNI: 7}, true},
		{"all but one", filter.Match{Session: "tms-1", Service: "shop", Cluster: "prod", LabelKey: "team", LabelValue: "web", VNI: 8}, false},
	} {
		if got := c.match.Meets(s); got != c.meets {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestPolicy(t *testing.T) {
	prefix := func(text string) netip.Prefix { return netip.MustParsePrefix(text) }
	byPort := func(k filter.Keep, ports filter.Ports) filter.KeepRule {
		return filter.KeepRule{Match: everything, Ports: ports, Keep: k}
	}
	byCIDR := func(k filter.Keep, cidr string) filter.KeepRule {
		return filter.KeepRule{Match: everything, Prefix: prefix(cidr), Keep: k}
	}
	none, full := filter.None, filter.Full
	server := filter.KeepRule{Match: everything, Prefix: prefix("10.0.1.0/24"), Ports: https, Keep: none}
	frame := func(h packet.Header) *packet.Frame { return &packet.Frame{Session: web, Header: h} }
	list := func(rules ...filter.KeepRule) []filter.KeepRule { return rules }
	for _, c := range []struct {
		name  string
		rules []filter.KeepRule
		frame *packet.Frame
		keep  filter.Keep
	}{
		{"no rule", nil, tcp(in, "1.1.1.1:1", "2.2.2.2:443"), full},
		{"the first that it meets", list(byPort(filter.Headers, https), byPort(none, https)), tcp(in, "1.1.1.1:1", "2.2.2.2:443"), filter.Headers},
		{"the second, where it does not meet the first", list(byPort(filter.Headers, https), byCIDR(none, "1.1.1.1/32")), tcp(in, "1.1.1.1:1", "2.2.2.2:442"), none},
		{"a rule for all, last", list(byPort(full, https), filter.KeepRule{Match: everything, Keep: none}), udp(in, "1.1.1.1:1", "2.2.2.2:442"), none},
		{"an exception before it", list(byPort(full, https), filter.KeepRule{Match: everything, Keep: none}), udp(in, "1.1.1.1:1", "2.2.2.2:443"), full},
		{"none of the session's", list(filter.KeepRule{Match: filter.Match{VNI: 8}, Keep: none}), tcp(in, "1.1.1.1:1", "2.2.2.2:443"), full},

		{"source port", list(byPort(none, https)), tcp(in, "1.1.1.1:443", "2.2.2.2:1"), none},
		{"port of SCTP", list(byPort(none, https)), ported(in, packet.ProtocolSCTP, "1.1.1.1:443", "2.2.2.2:1"), none},
		{"first port", list(byPort(none, filter.Ports{From: 10, To: 20})), tcp(in, "1.1.1.1:1", "2.2.2.2:10"), none},
		{"below the first", list(byPort(none, filter.Ports{From: 10, To: 20})), tcp(in, "1.1.1.1:1", "2.2.2.2:9"), full},
		{"last port", list(byPort(none, filter.Ports{From: 10, To: 20})), tcp(in, "1.1.1.1:1", "2.2.2.2:20"), none},
		{"above the last", list(byPort(none, filter.Ports{From: 10, To: 20})), tcp(in, "1.1.1.1:1", "2.2.2.2:21"), full},
		{"ICMP has no ports", list(byPort(none, filter.Ports{To: 65535})), plain(in, 1, "1.1.1.1", "2.2.2.2"), full},

		{"source address", list(byCIDR(none, "10.0.0.0/8")), tcp(in, "10.255.255.255:1", "2.2.2.2:1"), none},
		{"destination address", list(byCIDR(none, "10.0.0.0/8")), tcp(in, "2.2.2.2:1", "10.0.0.0:1"), none},
		{"an address outside", list(byCIDR(none, "10.0.0.0/8")), tcp(in, "9.255.255.255:1", "11.0.0.0:1"), full},
		{"0.0.0.0/0 holds no IPv6", list(byCIDR(none, any4)), tcp(in, "[::1]:1", "[::ffff:10.0.0.1]:1"), full},
		{"::/0 holds no IPv4", list(byCIDR(none, any6)), tcp(in, "1.1.1.1:1", "2.2.2.2:1"), full},
		{"IPv6 /65", list(byCIDR(none, "2001:db8::/65")), tcp(in, "[::1]:1", "[2001:db8::7fff:0:0:1]:1"), none},
		{"IPv6 /65, the other half", list(byCIDR(none, "2001:db8::/65")), tcp(in, "[::1]:1", "[2001:db8::8000:0:0:1]:1"), full},
		{"addresses of ARP", list(byCIDR(none, "10.0.0.9/32")), frame(packet.Header{EtherType: 0x0806, Network: 14, Dst: packet.AddrFrom4([4]byte{10, 0, 0, 9})}), none},

		{"address and port of one end", list(server), tcp(in, "1.1.1.1:1", "10.0.1.9:443"), none},
		{"address and port of two ends", list(server), tcp(in, "1.1.1.1:443", "10.0.1.9:1"), full},

		{"a later fragment may have the port", list(byPort(none, https)), later(udp(in, "1.1.1.1:1", "2.2.2.2:2")), none},
		{"and is not kept for a port it may have", list(byPort(full, https), filter.KeepRule{Match: everything, Keep: none}), later(udp(in, "1.1.1.1:1", "2.2.2.2:443")), none},
		{"a later fragment of another address", list(server), later(udp(in, "1.1.1.1:1", "2.2.2.2:2")), full},
		{"a later fragment of the address", list(server), later(udp(in, "10.0.1.9:1", "2.2.2.2:2")), none},
		{"a later fragment of ICMP has no ports", list(byPort(none, https)), later(plain(in, 1, "1.1.1.1", "2.2.2.2")), full},
		{"a header that was cut", list(byPort(none, https)), frame(packet.Header{Version: 4, Network: 14, Protocol: 6, Anomaly: packet.TCPShort}), none},
		{"a protocol without ports", list(byPort(none, https)), frame(packet.Header{Version: 4, Network: 14, Protocol: 50, Anomaly: packet.UnknownProtocol}), full},
		{"extension headers not read", list(byPort(none, https)), frame(packet.Header{Version: 6, Network: 14, Protocol: 0, Anomaly: packet.IPv6Extension}), none},
		{"addresses not read", list(byCIDR(none, "10.0.0.0/8")), frame(packet.Header{Anomaly: packet.VLANDepth}), none},
		{"not kept for an address not read", list(byCIDR(full, any4), filter.KeepRule{Match: everything, Keep: none}), frame(packet.Header{Anomaly: packet.VLANDepth}), none},
	} {
		p := policy(t, c.rules...)
		if got := p.Of(p.Rules(web), c.frame); got != c.keep {
			t.Errorf("%s: %v, want %v", c.name, got, c.keep)
		}
	}
}

// TestUnidentified: of a session that may turn out to be anybody, no rule about
// somebody keeps more than it would of them, and none keeps nothing.
func TestUnidentified(t *testing.T) {
	nobody := &packet.Session{VNI: 7}
	seven := filter.Match{VNI: 7}
	shop := filter.Match{Service: "shop", VNI: filter.AnyVNI}
	shopEight := filter.Match{Service: "shop", VNI: 8}
	tagged := filter.Match{LabelKey: "pii", VNI: filter.AnyVNI}
	list := func(rules ...filter.KeepRule) []filter.KeepRule { return rules }
	for _, c := range []struct {
		name  string
		rules []filter.KeepRule
		want  filter.Keep
	}{
		{"headers of a service", list(filter.KeepRule{Match: shop, Keep: filter.Headers}), filter.Headers},
		{"nothing of a label", list(filter.KeepRule{Match: tagged, Keep: filter.None}), filter.Headers},
		{"all of a service, nothing else", list(filter.KeepRule{Match: shop, Keep: filter.Full}, filter.KeepRule{Match: everything, Keep: filter.None}), filter.None},
		{"a rule by VNI goes before", list(filter.KeepRule{Match: seven, Keep: filter.Full}, filter.KeepRule{Match: shop, Keep: filter.None}), filter.Full},
		{"nothing of the VNI", list(filter.KeepRule{Match: seven, Keep: filter.None}, filter.KeepRule{Match: shop, Keep: filter.Headers}), filter.None},
		{"a service behind another VNI", list(filter.KeepRule{Match: shopEight, Keep: filter.None}), filter.Full},
		{"a port of a service", list(filter.KeepRule{Match: shop, Ports: https, Keep: filter.None}), filter.Headers},
		{"another port of a service", list(filter.KeepRule{Match: shop, Ports: filter.Ports{From: 1, To: 2}, Keep: filter.None}), filter.Full},
	} {
		p := policy(t, c.rules...).Unidentified()
		if got := p.Of(p.Rules(nobody), tcp(in, "1.1.1.1:9", "10.0.1.9:443")); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestPolicyRules: each rule has its bit, the last too.
func TestPolicyRules(t *testing.T) {
	rules := make([]filter.KeepRule, filter.MaxKeepRules)
	for i := range rules {
		rules[i] = filter.KeepRule{Match: filter.Match{VNI: int64(i)}, Keep: filter.None}
	}
	p := policy(t, rules...)
	for vni := range uint32(filter.MaxKeepRules) {
		if got := p.Rules(&packet.Session{VNI: vni}); got != 1<<vni {
			t.Errorf("VNI %d: rules %b", vni, got)
		}
	}
	if _, err := filter.NewPolicy(append(rules, rules[0])); err == nil {
		t.Errorf("%d rules are accepted", len(rules)+1)
	}
	for _, bad := range []filter.KeepRule{
		{Ports: filter.Ports{From: 2, To: 1}},
		{Prefix: netip.MustParsePrefix("::ffff:10.0.0.0/104")},
	} {
		if _, err := filter.NewPolicy([]filter.KeepRule{bad}); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
	if got := (&filter.Policy{}).Of(0, tcp(in, "1.1.1.1:1", "2.2.2.2:2")); got != filter.Full {
		t.Errorf("without rules: %v", got)
	}
}

func TestWords(t *testing.T) {
	for want, got := range map[string]fmt.Stringer{
		"full": filter.Full, "headers": filter.Headers, "none": filter.None,
		"accept": accept, "reject": reject,
		"443": https, "10-20": filter.Ports{From: 10, To: 20}, "": all,
	} {
		if got.String() != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
