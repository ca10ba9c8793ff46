package lab

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/tunnel"
)

// Sizes of the network, in bytes.
const (
	// MTU is that of the mirrored interfaces, as on AWS.
	MTU = 9001

	// underlayMTU leaves a frame of MTU room for the headers of Ethernet, VXLAN,
	// UDP and IPv6: 9001 + 14 + 8 + 8 + 40 = 9071.
	underlayMTU = 9216
)

// A Mirror is an interface of the host that is mirrored, with all its frames
// in both directions.
type Mirror struct {
	Interface string // its name, in the host and in the client
	VNI       uint32
	Source    netip.Addr // outer source of its datagrams
	Collector netip.Addr // outer destination

	// MAC is the mirrored interface's; the client's ends in 01.
	MAC string

	// The addresses of both ends, one of each family.
	Host, Host6, Client, Client6 netip.Addr

	device string // the VXLAN device it is copied into
}

// A Lab is a running laboratory.
type Lab struct {
	Client, Host, Collector *Namespace

	// Mirrors are the mirrored interfaces: the first sends its datagrams over
	// IPv4, the second over IPv6 with a zero checksum.
	Mirrors [2]Mirror

	t testing.TB
}

// New builds a laboratory in which everything is set up and no frame has yet
// passed a mirrored interface: the client's ends of them are down until
// Connect.
func New(t testing.TB) *Lab {
	t.Helper()
	Need(t, programs...)
	ns := makeNamespaces(t, "client", "host", "collector")
	l := &Lab{Client: ns[0], Host: ns[1], Collector: ns[2], t: t}
	for _, n := range ns {
		// Duplicate address detection would leave addresses unusable for a
		// second, and router solicitations go on for longer than a test. The
		// kernel queues at most 1,000 frames for a processor; a TCP window of
		// 1 MiB is 120 jumbo frames, and as many copies.
		n.shell(`
			echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
			echo 0 >/proc/sys/net/ipv6/conf/default/router_solicitations
			echo 4096 131072 1048576 >/proc/sys/net/ipv4/tcp_rmem
			ip link set lo up`)
	}
	l.addUnderlay()
	for i := range l.Mirrors {
		m := &l.Mirrors[i]
		*m = Mirror{
			Interface: fmt.Sprintf("m%d", i),
			VNI:       uint32(101 * (i + 1)),
			MAC:       fmt.Sprintf("02:00:00:00:%02x:02", i+1),
			Host:      netip.AddrFrom4([4]byte{10, 1, byte(i), 2}),
			Client:    netip.AddrFrom4([4]byte{10, 1, byte(i), 1}),
			Host6:     netip.MustParseAddr(fmt.Sprintf("fd00:1:%d::2", i)),
			Client6:   netip.MustParseAddr(fmt.Sprintf("fd00:1:%d::1", i)),
			Source:    underlay[i].host,
			Collector: underlay[i].collector,
			device:    fmt.Sprintf("x%d", i),
		}
		l.addMirrored(m)
		l.addTunnel(m)
	}
	return l
}

// underlay holds the addresses between host and collector.
var underlay = [2]struct{ host, collector netip.Addr }{
	{netip.MustParseAddr("10.9.0.2"), netip.MustParseAddr("10.9.0.1")},
	{netip.MustParseAddr("fd00:9::2"), netip.MustParseAddr("fd00:9::1")},
}

// veth joins host and another namespace by a pair of interfaces of that name.
func (l *Lab) veth(name string, mtu int, other *Namespace, hostMAC, otherMAC string) {
	l.t.Helper()
	size := strconv.Itoa(mtu)
	run(l.t, "ip", "link", "add", name, "mtu", size, "address", hostMAC, "netns", l.Host.name,
		"type", "veth", "peer", "name", name, "mtu", size, "address", otherMAC, "netns", other.name)
	for _, n := range []*Namespace{l.Host, other} {
		// With offloads on, 64 KB segments with unfinished checksums travel and
		// are what the taps see. One receive CPU keeps frames in order between
		// the tap and the mirror, and between the mirror and the collector.
		n.shell(strings.ReplaceAll(`
			ethtool -K IF tso off gso off gro off tx off rx off >/dev/null
			ip link set IF gso_max_segs 1
			for f in /sys/class/net/IF/queues/rx-*/rps_cpus; do echo 1 >$f; done`, "IF", name))
	}
}

// addUnderlay makes the network between host and collector. Its neighbours are
// permanent, since the kernel keeps few frames for one it has yet to find.
func (l *Lab) addUnderlay() {
	l.t.Helper()
	const hostMAC, collectorMAC = "02:00:00:00:09:02", "02:00:00:00:09:01"
	l.veth("u0", underlayMTU, l.Collector, hostMAC, collectorMAC)
	for _, u := range underlay {
		bits := 24
		if u.host.Is6() {
			bits = 64
		}
		l.Host.shell(fmt.Sprintf(`
			ip address add %s/%d dev u0
			ip neighbour add %s lladdr %s dev u0 nud permanent`, u.host, bits, u.collector, collectorMAC))
		l.Collector.shell(fmt.Sprintf(`
			ip address add %s/%d dev u0
			ip neighbour add %s lladdr %s dev u0 nud permanent`, u.collector, bits, u.host, hostMAC))
	}
	l.Host.shell("ip link set u0 up")
	l.Collector.shell("ip link set u0 up")
	for _, n := range []*Namespace{l.Host, l.Collector} {
		n.shell("name=u0; " + untilUp)
	}
}

// addMirrored makes the network between client and host. The client's end
// stays down, and IPv6 off on both: without a carrier the kernel would report
// its multicast groups all the same, which tc copies and tcpdump never sees.
func (l *Lab) addMirrored(m *Mirror) {
	l.t.Helper()
	l.veth(m.Interface, MTU, l.Client, m.MAC, m.MAC[:len(m.MAC)-1]+"1")
	for _, n := range []*Namespace{l.Host, l.Client} {
		n.shell("echo 1 >/proc/sys/net/ipv6/conf/" + m.Interface + "/disable_ipv6")
	}
	l.Host.shell(fmt.Sprintf("ip address add %s/24 dev %s; ip link set %[2]s up", m.Host, m.Interface))
	l.Client.shell(fmt.Sprintf("ip address add %s/24 dev %s", m.Client, m.Interface))
}

// addTunnel makes the VXLAN device, with source ports and checksums like AWS's,
// and has the interface's frames copied into it. IPv6 is off on the device,
// which would otherwise speak for itself.
func (l *Lab) addTunnel(m *Mirror) {
	l.t.Helper()
	checksum := "noudpcsum"
	if m.Source.Is6() {
		checksum = "udp6zerocsumtx"
	}
	l.Host.shell(fmt.Sprintf(`
		ip link add %[1]s mtu 9100 type vxlan id %[2]d local %[3]s remote %[4]s dev u0 \
			dstport %[5]d srcport 65408 65535 nolearning %[6]s
		echo 1 >/proc/sys/net/ipv6/conf/%[1]s/disable_ipv6
		ip link set %[1]s up
		tc qdisc add dev %[7]s clsact
		for hook in ingress egress; do
			tc filter add dev %[7]s $hook protocol all prio 1 u32 match u32 0 0 action mirred egress mirror dev %[1]s
		done`, m.device, m.VNI, m.Source, m.Collector, tunnel.VXLANPort, checksum, m.Interface))
}

// Connect brings the mirrored interfaces up at both ends. Whatever listened
// before has seen every frame since.
func (l *Lab) Connect() {
	l.t.Helper()
	for _, m := range l.Mirrors {
		l.Client.shell("ip link set " + m.Interface + " up")
	}
	for _, m := range l.Mirrors {
		addresses := map[*Namespace]netip.Addr{l.Host: m.Host6, l.Client: m.Client6}
		for n := range addresses {
			Eventually(l.t, m.Interface+" is up in "+n.name, func() bool {
				return strings.Contains(n.Run("ip", "link", "show", m.Interface), "state UP")
			})
		}
		for n, address := range addresses {
			n.shell(fmt.Sprintf("echo 0 >/proc/sys/net/ipv6/conf/%s/disable_ipv6; ip address add %s/64 dev %[1]s",
				m.Interface, address))
		}
	}
}

// Mirrored returns how many frames the mirror has sent so far.
func (l *Lab) Mirrored(m Mirror) int {
	l.t.Helper()
	text := l.Host.Run("cat", "/sys/class/net/"+m.device+"/statistics/tx_packets")
	frames, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		l.t.Fatal(err)
	}
	return frames
}

// Unmirror ends the mirror. Frames pass as before, without copies.
func (l *Lab) Unmirror(m Mirror) {
	l.t.Helper()
	l.Host.Run("tc", "qdisc", "delete", "dev", m.Interface, "clsact")
}
