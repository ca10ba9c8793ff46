package capture

import (
	"golang.org/x/net/bpf"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// ringSnap is how many bytes of a packet reach the ring: the longest datagram,
// and 256 bytes of headers in front of it.
const ringSnap = 256 + packet.MaxDatagram

// otherHost is PACKET_OTHERHOST: not to this host's hardware address, and seen
// because someone set the interface promiscuous.
const otherHost = 3

// ringFilter returns the program that lets datagrams to the ports into a ring.
// The kernel runs it on the Ethernet frame. With plain it lets in no more than
// tcxProgram drops.
func ringFilter(ports tunnelPorts, plain bool) ([]bpf.Instruction, error) {
	a := assembler{}
	a.Emit(bpf.LoadExtension{Num: bpf.ExtType})
	a.JumpIf(bpf.JumpEqual, otherHost, "zero")
	a.outer(packet.EthernetLen, plain)
	for _, list := range [][]uint16{ports.vxlan, ports.geneve} {
		for _, port := range list {
			a.JumpIf(bpf.JumpEqual, uint32(port), "take")
		}
	}
	a.Label("zero")
	a.Emit(bpf.RetConstant{Val: 0})
	a.Label("take")
	a.Emit(bpf.RetConstant{Val: ringSnap})
	return a.Resolve()
}

// ringSteering returns the program that chooses one of so many rings, as
// Steering does of sockets. The kernel runs it on the packet from the network
// header on (fanout_demux_bpf in net/packet/af_packet.c), and before the
// filter: what is no datagram to a tunnel port goes to ring 0, whose filter
// refuses it.
func ringSteering(ports tunnelPorts, rings int) ([]bpf.Instruction, error) {
	a := assembler{}
	a.outer(0, false)
	for _, port := range ports.vxlan {
		a.JumpIf(bpf.JumpEqual, uint32(port), "vxlan")
	}
	for _, port := range ports.geneve {
		a.JumpIf(bpf.JumpEqual, uint32(port), "geneve")
	}
	a.Jump("zero")
	a.Label("geneve")
	a.Emit(bpf.LoadIndirect{Off: udpLen + 2, Size: 2}, bpf.StoreScratch{Src: bpf.RegA, N: slotPart},
		bpf.LoadIndirect{Off: udpLen, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x3f},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: udpLen + tunnel.GENEVELen},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.TAX{},
		bpf.LoadScratch{Dst: bpf.RegA, N: slotPart})
	a.genevePayload()
	a.ethernet()
	a.ipv4()
	a.ipv6()
	a.mix(uint32(rings))
	return a.Resolve()
}

// outer leaves X at the UDP header and A with the destination port of a packet
// with its network header at off, or goes to "zero". It goes as deep as the
// method of that name of tunnelPorts. The kernel knows the EtherType, behind the
// first VLAN tag if it took that away: one of 802.1Q or 802.1ad. With plain it
// goes only as deep as outerMatch: no fragment, no extension header.
func (a *assembler) outer(off uint32, plain bool) {
	tags, extensions, fragments := maxVLANs, maxExtensions, uint32(0x1fff) // not a first fragment
	if plain {
		tags, extensions, fragments = 2, 0, 0x3fff // a fragment, the first one too
	}
	a.Emit(bpf.LoadConstant{Dst: bpf.RegX, Val: off}, bpf.LoadExtension{Num: bpf.ExtProto})
	for range tags {
		tagged := a.Unique("tagged")
		for _, tpid := range []uint32{etherVLAN, etherQinQ, etherOld} {
			a.JumpIf(bpf.JumpEqual, tpid, tagged)
		}
		a.Jump("outer")
		a.Label(tagged)
		a.step(2, 2, 4)
	}
	a.Label("outer")
	a.JumpIf(bpf.JumpEqual, etherIPv4, "outer4")
	a.JumpIf(bpf.JumpEqual, etherIPv6, "outer6")
	a.Jump("zero")

	a.Label("outer4")
	a.Emit(bpf.LoadIndirect{Off: 9, Size: 1})
	a.JumpIf(bpf.JumpNotEqual, packet.ProtocolUDP, "zero")
	a.Emit(bpf.LoadIndirect{Off: 6, Size: 2})
	a.JumpIf(bpf.JumpBitsSet, fragments, "zero")
	a.SkipIPv4()
	a.Jump("port")

	a.Label("outer6")
	a.step(6, 1, ipv6Len)
	for range extensions {
		a.extension()
	}
	a.JumpIf(bpf.JumpNotEqual, packet.ProtocolUDP, "zero")
	a.Label("port")
	a.Emit(bpf.LoadIndirect{Off: 2, Size: 2})
}

// extension skips the IPv6 extension header at X, of the type in A, and leaves
// the next one's in A. It goes to "port" at UDP.
func (a *assembler) extension() {
	first, other, next := a.Unique("fragment"), a.Unique("extension"), a.Unique("next")
	a.JumpIf(bpf.JumpEqual, packet.ProtocolUDP, "port")
	a.JumpIf(bpf.JumpEqual, fragment, first)
	for _, kind := range []uint32{hopByHop, routing, destinationOptions} {
		a.JumpIf(bpf.JumpEqual, kind, other)
	}
	a.Jump("zero")
	a.Label(first)
	a.Emit(bpf.LoadIndirect{Off: 2, Size: 2})
	a.JumpIf(bpf.JumpBitsSet, 0xfff8, "zero")
	a.step(0, 1, fragmentLen)
	a.Jump(next)
	a.Label(other)
	a.Emit(bpf.LoadIndirect{Off: 0, Size: 1}, bpf.StoreScratch{Src: bpf.RegA, N: slotPart},
		bpf.LoadIndirect{Off: 1, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 3},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 8},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.TAX{},
		bpf.LoadScratch{Dst: bpf.RegA, N: slotPart})
	a.Label(next)
}

// step leaves the size bytes at off from X in A, and moves X on by n.
func (a *assembler) step(off uint32, size int, n uint32) {
	a.Emit(bpf.LoadIndirect{Off: off, Size: size}, bpf.StoreScratch{Src: bpf.RegA, N: slotPart})
	a.Advance(n)
	a.Emit(bpf.LoadScratch{Dst: bpf.RegA, N: slotPart})
}
