package flow

import (
	"net/netip"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// cidrs is a session whose VPC and subnet are known.
var cidrs = &packet.Session{ID: 1, Name: "web", Workload: packet.Workload{
	VPCCIDRs:    prefixes("10.0.0.0/16", "100.64.0.0/16", "2001:db8::/56"),
	SubnetCIDRs: prefixes("10.0.1.0/24", "10.0.2.16/28", "2001:db8:0:1::/64"),
}}

func prefixes(texts ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, text := range texts {
		p = append(p, netip.MustParsePrefix(text))
	}
	return p
}

// flowOf is a flow from 10.0.1.163 port 40000, or from the IPv6 or link-local
// address in its place, to end.
func flowOf(s *packet.Session, protocol uint8, from, to string) *packet.Flow {
	r := &packet.Flow{Session: s, Protocol: protocol}
	for i, text := range []string{from, to} {
		end := netip.MustParseAddrPort(text)
		r.Addr[i], r.Port[i] = packet.AddrFrom(end.Addr()), end.Port()
	}
	return r
}

const (
	v4 = "10.0.1.163:40000"
	v6 = "[2001:db8:0:1::163]:40000"
)

func TestClassify(t *testing.T) {
	unknown := &packet.Session{ID: 2, Name: "vni-7"}
	for _, c := range []struct {
		name     string
		session  *packet.Session
		protocol uint8
		from, to string
		want     packet.Class
	}{
		{"HTTPS", cidrs, 6, v4, "203.0.113.9:443", packet.Ordinary},
		{"ping", cidrs, 1, "10.0.1.163:0", "203.0.113.9:0", packet.Ordinary},

		{"VPC+2", cidrs, 17, v4, "10.0.0.2:53", packet.AmazonDNS},
		{"VPC+2 over TCP", cidrs, 6, v4, "10.0.0.2:53", packet.AmazonDNS},
		{"VPC+2, later fragments", cidrs, 17, "10.0.1.163:0", "10.0.0.2:0", packet.AmazonDNS},
		{"VPC+2, port unreachable", cidrs, 1, "10.0.1.163:0", "10.0.0.2:0", packet.AmazonDNS},
		{"VPC+2, another port", cidrs, 6, v4, "10.0.0.2:443", packet.Ordinary},
		{"VPC+2, port 53 at the other end", cidrs, 17, "10.0.1.163:53", "10.0.0.2:40000", packet.OwnDNS},
		{"VPC+3", cidrs, 17, v4, "10.0.0.3:53", packet.OwnDNS},
		{"VPC+2, VPC not known", unknown, 17, v4, "10.0.0.2:53", packet.OwnDNS},
		{"second CIDR+2", cidrs, 17, v4, "100.64.0.2:53", packet.OwnDNS},
		{"subnet+2", cidrs, 17, v4, "10.0.1.2:53", packet.AmazonDNS},
		{"subnet+2 of a /28", cidrs, 17, v4, "10.0.2.18:53", packet.AmazonDNS},
		{"subnet+3", cidrs, 17, v4, "10.0.1.3:53", packet.OwnDNS},
		{"+2 of a subnet that is not the session's", cidrs, 17, v4, "10.0.3.2:53", packet.OwnDNS},
		{"169.254.169.253", unknown, 17, v4, "169.254.169.253:53", packet.AmazonDNS},
		{"169.254.169.253, another port", unknown, 6, v4, "169.254.169.253:54", packet.LinkLocal},
		{"fd00:ec2::253", unknown, 6, v6, "[fd00:ec2::253]:53", packet.AmazonDNS},
		{"fd00:ec2::253, another port", unknown, 17, v6, "[fd00:ec2::253]:5353", packet.LinkLocal},

		{"own DNS", cidrs, 17, v4, "10.0.1.53:53", packet.OwnDNS},
		{"own DNS over TCP", cidrs, 6, v4, "8.8.8.8:53", packet.OwnDNS},
		{"own DNS over IPv6", cidrs, 17, v6, "[2001:4860:4860::8888]:53", packet.OwnDNS},
		{"port 53 of SCTP", cidrs, 132, v4, "8.8.8.8:53", packet.Ordinary},
		{"port 52", cidrs, 17, v4, "8.8.8.8:52", packet.Ordinary},
		{"port 54", cidrs, 17, v4, "8.8.8.8:54", packet.Ordinary},

		{"metadata", unknown, 6, v4, "169.254.169.254:80", packet.InstanceMeta},
		{"metadata, ping", unknown, 1, "10.0.1.163:0", "169.254.169.254:0", packet.InstanceMeta},
		{"metadata over IPv6", unknown, 6, v6, "[fd00:ec2::254]:80", packet.InstanceMeta},
		{"address after metadata", unknown, 6, v4, "169.254.169.255:80", packet.LinkLocal},
		{"address after metadata, IPv6", unknown, 6, v6, "[fd00:ec2::255]:80", packet.LinkLocal},
		{"metadata's last bytes elsewhere", unknown, 6, v4, "10.254.169.254:80", packet.Ordinary},
		{"IPv6 with those bytes at the end", unknown, 6, v6, "[2001:db8::a9fe:a9fe]:80", packet.Ordinary},
		{"IPv6 of which only those bytes are not 0", unknown, 6, v6, "[::1:0:a9fe:a9fe]:80", packet.Ordinary},

		{"time sync", unknown, 17, v4, "169.254.169.123:123", packet.TimeSync},
		{"time sync over IPv6", unknown, 17, v6, "[fd00:ec2::123]:123", packet.TimeSync},
		{"external NTP", unknown, 17, v4, "192.0.2.123:123", packet.ExternalNTP},
		{"NTP between servers", unknown, 17, "10.0.1.163:123", "192.0.2.123:123", packet.ExternalNTP},
		{"TCP port 123", unknown, 6, v4, "192.0.2.123:123", packet.Ordinary},
		{"port 122", unknown, 17, v4, "192.0.2.123:122", packet.Ordinary},
		{"port 124", unknown, 17, v4, "192.0.2.123:124", packet.Ordinary},

		{"activation", unknown, 6, v4, "169.254.169.250:1688", packet.Activation},
		{"activation, second address", unknown, 6, v4, "169.254.169.251:1688", packet.Activation},
		{"activation over UDP", unknown, 17, v4, "169.254.169.250:1688", packet.LinkLocal},
		{"activation, another port", unknown, 6, v4, "169.254.169.250:1689", packet.LinkLocal},
		{"address before activation", unknown, 6, v4, "169.254.169.249:1688", packet.LinkLocal},
		{"address after activation", unknown, 6, v4, "169.254.169.252:1688", packet.LinkLocal},
		{"own activation server", cidrs, 6, v4, "10.0.1.9:1688", packet.Ordinary},

		{"DHCP discover", cidrs, 17, "0.0.0.0:68", "255.255.255.255:67", packet.DHCP},
		{"DHCP renewal at the router", cidrs, 17, "10.0.1.163:68", "10.0.1.1:67", packet.DHCP},
		{"DHCP relay", cidrs, 17, "10.0.1.163:67", "10.0.9.9:67", packet.DHCP},
		{"DHCPv6 solicit", cidrs, 17, "[fe80::1]:546", "[ff02::1:2]:547", packet.DHCP},
		{"scan of port 67", cidrs, 17, v4, "10.0.1.9:67", packet.Ordinary},
		{"ports 66 and 67", cidrs, 17, "10.0.1.163:66", "10.0.1.9:67", packet.Ordinary},
		{"ports 68 and 69", cidrs, 17, "10.0.1.163:68", "10.0.1.9:69", packet.Ordinary},
		{"DHCPv6's ports over IPv4", cidrs, 17, "10.0.1.163:546", "10.0.1.9:547", packet.Ordinary},
		{"DHCP's ports over IPv6", cidrs, 17, "[2001:db8::1]:68", "[2001:db8::2]:67", packet.Ordinary},
		{"DHCP's ports over TCP", cidrs, 6, "10.0.1.163:68", "10.0.1.9:67", packet.Ordinary},

		{"router", cidrs, 1, "10.0.1.163:0", "10.0.1.1:0", packet.VPCRouter},
		{"router of a /28", cidrs, 1, "10.0.1.163:0", "10.0.2.17:0", packet.VPCRouter},
		{"router, port 53", cidrs, 17, v4, "10.0.1.1:53", packet.VPCRouter},
		{"router, subnet not known", unknown, 1, "10.0.1.163:0", "10.0.1.1:0", packet.Ordinary},
		{"base+1 of the VPC, not of the subnet", cidrs, 1, "10.0.1.163:0", "10.0.0.1:0", packet.Ordinary},
		{"base of the subnet", cidrs, 1, "10.0.1.163:0", "10.0.1.0:0", packet.Ordinary},
		{"router by its IPv6 address", unknown, 58, "[2001:db8::1]:0", "[fe80:ec2::1]:0", packet.VPCRouter},
		{"address after the router's", unknown, 58, "[2001:db8::1]:0", "[fe80:ec2::2]:0", packet.LinkLocal},

		{"task metadata", unknown, 6, v4, "169.254.170.2:80", packet.TaskMeta},
		{"address after task metadata", unknown, 6, v4, "169.254.170.3:80", packet.LinkLocal},
		{"pod identity", unknown, 6, v4, "169.254.170.23:80", packet.PodIdentity},
		{"pod identity over IPv6", unknown, 6, v6, "[fd00:ec2::23]:80", packet.PodIdentity},

		{"first link-local", unknown, 6, v4, "169.254.0.0:80", packet.LinkLocal},
		{"last link-local", unknown, 6, v4, "169.254.255.255:80", packet.LinkLocal},
		{"before link-local", unknown, 6, v4, "169.253.255.255:80", packet.Ordinary},
		{"after link-local", unknown, 6, v4, "169.255.0.0:80", packet.Ordinary},
		{"last of fe80::/10", unknown, 17, v6, "[febf:ffff::1]:5353", packet.LinkLocal},
		{"before fe80::/10", unknown, 17, v6, "[fe7f:ffff::1]:5353", packet.Ordinary},
		{"after fe80::/10", unknown, 17, v6, "[fec0::1]:5353", packet.Ordinary},
		{"last of fd00:ec2::/32", unknown, 6, v6, "[fd00:ec2:ffff::1]:80", packet.LinkLocal},
		{"after fd00:ec2::/32", unknown, 6, v6, "[fd00:ec3::254]:80", packet.Ordinary},
		{"own DNS at a link-local address", unknown, 17, v6, "[fe80::53]:53", packet.LinkLocal},

		{"VXLAN", unknown, 17, v4, "10.0.9.10:4789", packet.MirroredVXLAN},
		{"TCP port 4789", unknown, 6, v4, "10.0.9.10:4789", packet.Ordinary},
		{"port 4788", unknown, 17, v4, "10.0.9.10:4788", packet.Ordinary},
		{"port 4790", unknown, 17, v4, "10.0.9.10:4790", packet.Ordinary},
	} {
		r := flowOf(c.session, c.protocol, c.from, c.to)
		if got := classify(r); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		r.Addr[0], r.Addr[1] = r.Addr[1], r.Addr[0]
		r.Port[0], r.Port[1] = r.Port[1], r.Port[0]
		if got := classify(r); got != c.want {
			t.Errorf("%s, seen from the other end: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestClassifyRouterAdvertisement: only a router sends and answers these, from
// an address that does not tell.
func TestClassifyRouterAdvertisement(t *testing.T) {
	for icmp, want := range map[uint8]packet.Class{
		132: packet.LinkLocal,
		133: packet.VPCRouter, 134: packet.VPCRouter,
		135: packet.LinkLocal, // neighbor solicitation
	} {
		r := flowOf(cidrs, 58, "[fe80::84f:a0ff:fe1b:2c3d]:0", "[ff02::1]:0")
		r.ICMPType = icmp
		if got := classify(r); got != want {
			t.Errorf("ICMPv6 type %d: %v, want %v", icmp, got, want)
		}
	}
}

// TestClassifyNarrowCIDRs: CIDRs longer than AWS allows have no reserved
// addresses, and none is found beyond their end.
func TestClassifyNarrowCIDRs(t *testing.T) {
	for _, narrow := range []string{"10.0.0.0/29", "10.0.0.0/32", "255.255.255.255/32", "10.0.0.1/32"} {
		s := &packet.Session{Workload: packet.Workload{VPCCIDRs: prefixes(narrow), SubnetCIDRs: prefixes(narrow)}}
		for _, to := range []string{"10.0.0.1:0", "10.0.0.2:0", "0.0.0.1:0", "255.255.255.1:0"} {
			if got := classify(flowOf(s, 1, "10.0.0.9:0", to)); got != packet.Ordinary {
				t.Errorf("%s in %s: %v, want ordinary", to, narrow, got)
			}
		}
	}
}

func BenchmarkClassify(b *testing.B) {
	for name, r := range map[string]*packet.Flow{
		"ordinary": flowOf(cidrs, 6, v4, "203.0.113.9:443"),
		"reserved": flowOf(cidrs, 17, v4, "10.0.1.2:53"),
		"service":  flowOf(cidrs, 6, v6, "[fd00:ec2::254]:80"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				classify(r)
			}
		})
	}
}

func TestClassifyAllocatesNothing(t *testing.T) {
	r := flowOf(cidrs, 17, v4, "10.0.1.2:53")
	if n := testing.AllocsPerRun(100, func() { classify(r) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
