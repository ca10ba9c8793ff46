package tap

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"

	"github.com/periscope-collector/periscope/internal/cbpf"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// What AWS never mirrors beside ARP and DHCP (Traffic Mirroring, "Limitations"):
// instance metadata, the time service, and Windows activation; and what ECS adds
// to it, the metadata and credentials of a task. Amazon DNS, at 253, is for the
// filter.
var (
	reserved4 = []uint32{0xa9fea9fe, 0xa9fea97b, 0xa9fea9fa, 0xa9fea9fb, 0xa9feaa02} // 169.254.169.254, 123, 250, 251; 169.254.170.2
	reserved6 = []uint32{0x254, 0x123, 0x250, 0x251, 0x240}                          // behind fd00:ec2::
)

const (
	wholeSnap = 1 << 18 // as much as a block holds

	icmpPayload = 8 // where an ICMP error quotes the packet it is about
	fragment6   = 44
)

// An excluder assembles the filter of the ring, which runs on the Ethernet frame.
type excluder struct {
	cbpf.Assembler
	collector netip.AddrPort
}

// exclusions returns the program that keeps out of the ring what must not be
// mirrored: all that is not IP, what AWS never mirrors, and the tap's own: UDP
// between here and the collector's address, to or from its port or VXLAN's, each
// fragment of it, and ICMP errors about it. Without the last, a collector that
// does not listen would answer each datagram with a frame to mirror.
func exclusions(collector netip.AddrPort) ([]bpf.Instruction, error) {
	e := excluder{collector: netip.AddrPortFrom(collector.Addr().Unmap(), collector.Port())}
	e.Emit(bpf.LoadAbsolute{Off: 12, Size: 2})
	e.JumpIf(bpf.JumpEqual, etherIPv4, "ipv4")
	e.JumpIf(bpf.JumpEqual, etherIPv6, "ipv6")
	e.Jump("drop")
	e.ipv4()
	e.ipv6()

	e.Label("udp") // X is at the UDP header of a packet between here and the collector
	e.Emit(bpf.LoadIndirect{Off: 0, Size: 2})
	e.ports("drop")
	e.Emit(bpf.LoadIndirect{Off: 2, Size: 2})
	e.ports("drop")
	e.Label("take")
	e.Emit(bpf.RetConstant{Val: wholeSnap})
	e.Label("drop")
	e.Emit(bpf.RetConstant{Val: 0})
	return e.Resolve()
}

// ports goes to label if A is a port that the tap sends to.
func (e *excluder) ports(label string) {
	e.JumpIf(bpf.JumpEqual, uint32(e.collector.Port()), label)
	e.JumpIf(bpf.JumpEqual, tunnel.VXLANPort, label)
}

func (e *excluder) ipv4() {
	const at = packet.EthernetLen
	e.Label("ipv4")
	for _, off := range []uint32{at + 12, at + 16} {
		e.Emit(bpf.LoadAbsolute{Off: off, Size: 4})
		for _, address := range reserved4 {
			e.JumpIf(bpf.JumpEqual, address, "drop")
		}
		if e.collector.Addr().Is4() {
			e.JumpIf(bpf.JumpEqual, word(e.collector.Addr(), 0), "peer4")
		}
	}
	e.Jump("other4")

	e.Label("peer4")
	e.Emit(bpf.LoadAbsolute{Off: at + 9, Size: 1})
	e.JumpIf(bpf.JumpNotEqual, packet.ProtocolUDP, "other4")
	e.Emit(bpf.LoadAbsolute{Off: at + 6, Size: 2})
	e.JumpIf(bpf.JumpBitsSet, 0x3fff, "drop") // more fragments, or not the first
	e.Emit(bpf.LoadMemShift{Off: at})
	e.Advance(at)
	e.Jump("udp")

	e.Label("other4")
	e.Emit(bpf.LoadAbsolute{Off: at + 6, Size: 2})
	e.JumpIf(bpf.JumpBitsSet, 0x1fff, "take")
	e.Emit(bpf.LoadMemShift{Off: at})
	e.Advance(at)
	e.Emit(bpf.LoadAbsolute{Off: at + 9, Size: 1})
	e.JumpIf(bpf.JumpEqual, packet.ProtocolICMP, "icmp4")
	e.JumpIf(bpf.JumpNotEqual, packet.ProtocolUDP, "take")
	e.both(67, 68) // DHCP (RFC 2131, section 4.1)

	e.Label("icmp4")
	if e.collector.Addr().Is4() {
		e.Emit(bpf.LoadIndirect{Off: 0, Size: 1})
		for _, kind := range []uint32{3, 4, 5, 11, 12} { // RFC 792: those that quote
			e.JumpIf(bpf.JumpEqual, kind, "error4")
		}
		e.Jump("take")
		e.Label("error4")
		e.Emit(bpf.LoadIndirect{Off: icmpPayload + 9, Size: 1})
		e.JumpIf(bpf.JumpNotEqual, packet.ProtocolUDP, "take")
		e.Emit(bpf.LoadIndirect{Off: icmpPayload + 16, Size: 4})
		e.JumpIf(bpf.JumpNotEqual, word(e.collector.Addr(), 0), "take")
		e.Advance(icmpPayload)
		e.SkipIPv4()
		e.Jump("udp")
	}
	e.Jump("take")
}

func (e *excluder) ipv6() {
	const at = packet.EthernetLen
	e.Label("ipv6")
	for _, off := range []uint32{at + 8, at + 24} {
		next := e.Unique("address")
		for i, want := range []uint32{0xfd000ec2, 0, 0} {
			e.Emit(bpf.LoadAbsolute{Off: off + uint32(4*i), Size: 4})
			e.JumpIf(bpf.JumpNotEqual, want, next)
		}
		e.Emit(bpf.LoadAbsolute{Off: off + 12, Size: 4})
		for _, last := range reserved6 {
			e.JumpIf(bpf.JumpEqual, last, "drop")
		}
		e.Label(next)
		if e.collector.Addr().Is6() {
			e.collector6(bpf.LoadAbsolute{Off: off, Size: 4}, "peer6")
		}
	}
	e.Jump("other6")

	e.Label("peer6")
	e.Emit(bpf.LoadConstant{Dst: bpf.RegX, Val: at + ipv6Len}, bpf.LoadAbsolute{Off: at + 6, Size: 1})
	e.JumpIf(bpf.JumpEqual, packet.ProtocolUDP, "udp")
	e.JumpIf(bpf.JumpNotEqual, fragment6, "other6")
	e.Emit(bpf.LoadIndirect{Off: 0, Size: 1})
	e.JumpIf(bpf.JumpEqual, packet.ProtocolUDP, "drop")

	e.Label("other6")
	e.Emit(bpf.LoadConstant{Dst: bpf.RegX, Val: at + ipv6Len}, bpf.LoadAbsolute{Off: at + 6, Size: 1})
	e.JumpIf(bpf.JumpEqual, packet.ProtocolICMPv6, "icmp6")
	e.JumpIf(bpf.JumpNotEqual, packet.ProtocolUDP, "take")
	e.both(546, 547) // DHCP (RFC 8415, section 7.2)

	e.Label("icmp6")
	if e.collector.Addr().Is6() {
		e.Emit(bpf.LoadIndirect{Off: 0, Size: 1})
		e.JumpIf(bpf.JumpGreaterOrEqual, 128, "take") // RFC 4443, section 2.1: no error
		e.Emit(bpf.LoadIndirect{Off: icmpPayload + 6, Size: 1})
		e.JumpIf(bpf.JumpNotEqual, packet.ProtocolUDP, "take")
		e.collector6(bpf.LoadAbsolute{Off: at + ipv6Len + icmpPayload + 24, Size: 4}, "error6")
		e.Jump("take")
		e.Label("error6")
		e.Emit(bpf.LoadConstant{Dst: bpf.RegX, Val: at + ipv6Len + icmpPayload + ipv6Len})
		e.Jump("udp")
	}
	e.Jump("take")
}

// both goes to "drop" if both ports of the UDP header at X are one of the two,
// else to "take".
func (e *excluder) both(a, b uint32) {
	for _, off := range []uint32{0, 2} {
		yes := e.Unique("port")
		e.Emit(bpf.LoadIndirect{Off: off, Size: 2})
		e.JumpIf(bpf.JumpEqual, a, yes)
		e.JumpIf(bpf.JumpEqual, b, yes)
		e.Jump("take")
		e.Label(yes)
	}
	e.Jump("drop")
}

// collector6 goes to label if the address from the load on is the collector's.
func (e *excluder) collector6(load bpf.LoadAbsolute, label string) {
	other := e.Unique("other")
	for i := range 4 {
		e.Emit(load)
		e.JumpIf(bpf.JumpNotEqual, word(e.collector.Addr(), i), other)
		load.Off += 4
	}
	e.Jump(label)
	e.Label(other)
}

// word returns the i-th 32 bits of an address.
func word(a netip.Addr, i int) uint32 { return binary.BigEndian.Uint32(a.AsSlice()[4*i:]) }
