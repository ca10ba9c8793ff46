package lab

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
)

// Tasks is a lab in which tasks come and go. Each has an interface of its own,
// with its address and its MAC address, that can be mirrored as AWS mirrors it:
// the address is the outer source.
//
//	peer                  task 1                         collector
//	  p1 ──────────────── t0 ─ tc mirred ─> x0 ─ u0 ──── c1   UDP 4789
//	  p2 ──────────────── t0 (task 2) ...      u0 ────── c2
//
// There is nothing but what the tasks and the peer say: addresses of neighbours
// are permanent, and there is no IPv6.
type Tasks struct {
	Peer, Collector *Namespace

	t testing.TB
	n int // tasks so far
}

// The addresses that all tasks know.
var (
	PeerAddr      = netip.MustParseAddr("10.1.255.1")
	CollectorAddr = netip.MustParseAddr("10.9.255.1")
)

// NewTasks builds the lab, without a task.
func NewTasks(t testing.TB) *Tasks {
	t.Helper()
	Need(t, "ip", "tc", "ethtool")
	ns := makeNamespaces(t, "peer", "collector")
	l := &Tasks{Peer: ns[0], Collector: ns[1], t: t}
	for n, address := range map[*Namespace]netip.Addr{l.Peer: PeerAddr, l.Collector: CollectorAddr} {
		// The outer sources are on no route of the collector's.
		n.shell(fmt.Sprintf(`
			echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter
			echo 0 >/proc/sys/net/ipv4/conf/default/rp_filter
			echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
			ip link set lo up
			ip address add %s/32 dev lo`, address))
	}
	return l
}

// Run starts a task with the addresses, which no running task has. It is not
// mirrored.
func (l *Tasks) Run(address netip.Addr, mac net.HardwareAddr) *Task {
	l.t.Helper()
	l.n++
	task := &Task{
		Namespace: makeNamespaces(l.t, fmt.Sprintf("task%d", l.n))[0],
		Interface: fmt.Sprintf("p%d", l.n),
		MAC:       mac,
		Address:   address,
	}
	const peerMAC, underlayMAC, collectorMAC = "02:00:00:00:01:01", "02:00:00:00:09:02", "02:00:00:00:09:01"
	join := func(name, ownMAC string, other *Namespace, otherName, otherMAC string) {
		run(l.t, "ip", "link", "add", name, "mtu", "9000", "address", ownMAC, "netns", task.name,
			"type", "veth", "peer", "name", otherName, "mtu", "9000", "address", otherMAC, "netns", other.name)
		for n, name := range map[*Namespace]string{task.Namespace: name, other: otherName} {
			n.shell("ethtool -K " + name + " tso off gso off gro off tx off rx off >/dev/null; ip link set " + name + " up")
		}
	}
	task.shell("echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; ip link set lo up")
	join("u0", underlayMAC, l.Collector, fmt.Sprintf("c%d", l.n), collectorMAC)
	join("t0", mac.String(), l.Peer, task.Interface, peerMAC)
	l.Peer.shell(fmt.Sprintf(`
		ip neighbour replace %[1]s lladdr %[2]s dev %[3]s nud permanent
		ip route replace %[1]s/32 dev %[3]s src %[4]s`, address, mac, task.Interface, PeerAddr))
	// A queueing discipline stops the interface for a moment, filters do not.
	task.shell(fmt.Sprintf(`
		ip address add %[1]s/32 dev t0
		ip neighbour add %[2]s lladdr %[3]s dev t0 nud permanent
		ip route add %[2]s/32 dev t0 src %[1]s
		ip neighbour add %[4]s lladdr %[5]s dev u0 nud permanent
		ip route add %[4]s/32 dev u0 src %[1]s
		tc qdisc add dev t0 clsact`, address, PeerAddr, peerMAC, CollectorAddr, collectorMAC))
	for n, names := range map[*Namespace]string{task.Namespace: "t0 u0", l.Peer: task.Interface, l.Collector: fmt.Sprintf("c%d", l.n)} {
		n.shell("for name in " + names + "; do " + untilUp + "; done")
	}
	return task
}

// untilUp waits for $name: what is sent before an interface is up is lost, and that
// is later than when its peer is set up.
const untilUp = `until read state </sys/class/net/$name/operstate && test $state = up; do sleep 0.01; done`
