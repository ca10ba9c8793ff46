package judge

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// A Key is two ends that talk over a protocol, whoever began.
type Key struct {
	Protocol uint8             // IANA number
	Ends     [2]netip.AddrPort // the lesser one first; ports are 0 but for TCP, UDP and SCTP
}

// A Sum is what each end of a Key sent. Bytes are those of IP packets: frame
// bytes without the link layer's headers and padding.
type Sum struct {
	Packets, Bytes [2]uint64
}

// Flows is what a program says of a capture file, summed up over it.
type Flows map[Key]Sum

// Add adds what one end sent to the other.
func (f Flows) Add(protocol uint8, from, to netip.AddrPort, packets, bytes uint64) {
	if packets == 0 && bytes == 0 {
		return
	}
	k, side := keyOf(protocol, from, to)
	s := f[k]
	s.Packets[side] += packets
	s.Bytes[side] += bytes
	f[k] = s
}

// keyOf returns the key of two ends, and which of its ends the sender is.
func keyOf(protocol uint8, from, to netip.AddrPort) (k Key, side int) {
	if !hasPorts(protocol) {
		from, to = portless(from), portless(to)
	}
	if to.Compare(from) < 0 {
		return Key{protocol, [2]netip.AddrPort{to, from}}, 1
	}
	return Key{protocol, [2]netip.AddrPort{from, to}}, 0
}

func hasPorts(protocol uint8) bool {
	return protocol == packet.ProtocolTCP || protocol == packet.ProtocolUDP || protocol == packet.ProtocolSCTP
}

func portless(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr(), 0) }

// without returns k without ports.
func (k Key) without() Key {
	return Key{k.Protocol, [2]netip.AddrPort{portless(k.Ends[0]), portless(k.Ends[1])}}
}

// Fold returns f with the ports taken off all flows between ends, without
// ports, of which split is true. It puts together again what a program that
// does not look for the ports of later fragments has split.
func (f Flows) Fold(split map[Key]bool) Flows {
	folded := make(Flows, len(f))
	for k, s := range f {
		to := k
		if split[k.without()] {
			to = k.without()
		}
		folded[to] = folded[to].plus(s) // the lesser address is the first with and without ports
	}
	return folded
}

// moves are packets that a program counts in another place than the one they
// belong to: from the first key to the second one.
type moves map[[2]Key]Sum

func (m moves) add(from, to Key, side int, bytes uint64) {
	s := m[[2]Key{from, to}]
	s.Packets[side]++
	s.Bytes[side] += bytes
	m[[2]Key{from, to}] = s
}

// move returns f with the packets where they belong. One that was not where it
// is moved from leaves a number there that nobody else has.
func (f Flows) move(m moves) Flows {
	for k, s := range m {
		left := f[k[0]]
		for side := range s.Packets {
			left.Packets[side] -= s.Packets[side]
			left.Bytes[side] -= s.Bytes[side]
		}
		if f[k[0]] = left; left == (Sum{}) {
			delete(f, k[0])
		}
		f[k[1]] = f[k[1]].plus(s)
	}
	return f
}

func (s Sum) plus(other Sum) Sum {
	for side := range s.Packets {
		s.Packets[side] += other.Packets[side]
		s.Bytes[side] += other.Bytes[side]
	}
	return s
}

// CompareFlows fails the test unless got says of every pair of ends what want
// does. It returns the number of pairs that differ.
func CompareFlows(t testing.TB, name string, got, want Flows) int {
	t.Helper()
	keys := make(map[Key]bool, len(want))
	for _, f := range []Flows{got, want} {
		for k := range f {
			keys[k] = true
		}
	}
	different := slices.SortedFunc(maps.Keys(keys), Key.compare)
	different = slices.DeleteFunc(different, func(k Key) bool { return got[k] == want[k] })
	for _, k := range different[:min(len(different), reported)] {
		t.Errorf("%s: %v: %v, want %v", name, k, got[k], want[k])
	}
	if len(different) > 0 {
		t.Errorf("%s: %d of %d conversations differ", name, len(different), len(keys))
	}
	return len(different)
}

func (k Key) compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Protocol, other.Protocol), k.Ends[0].Compare(other.Ends[0]), k.Ends[1].Compare(other.Ends[1]))
}

// String returns "protocol A B".
func (k Key) String() string { return fmt.Sprintf("%d %v %v", k.Protocol, k.Ends[0], k.Ends[1]) }

// String returns "packets (bytes) > packets (bytes) <".
func (s Sum) String() string {
	return fmt.Sprintf("%d (%d) > %d (%d) <", s.Packets[0], s.Bytes[0], s.Packets[1], s.Bytes[1])
}
