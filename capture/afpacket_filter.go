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
	a := assembler{labels: make(map[string]int)}
	a.emit(bpf.LoadExtension{Num: bpf.ExtType})
	a.jumpIf(bpf.JumpEqual, otherHost, "zero")
	a.outer(packet.EthernetLen, plain)
	for _, list := range [][]uint16{ports.vxlan, ports.geneve} {
		for _, port := range list {
			a.jumpIf(bpf.JumpEqual, uint32(port), "take")
		}
	}
	a.label("zero")
	a.emit(bpf.RetConstant{Val: 0})
	a.label("take")
	a.emit(bpf.RetConstant{Val: ringSnap})
	return a.resolve()
}

// ringSteering returns the program that chooses one of so many rings, as
// Steering does of sockets. The kernel runs it on the packet from the network
// header on (fanout_demux_bpf in net/packet/af_packet.c), and before the
// filter: what is no datagram to a tunnel port goes to ring 0, whose filter
// refuses it.
func ringSteering(ports tunnelPorts, rings int) ([]bpf.Instruction, error) {
	a := assembler{labels: make(map[string]int)}
	a.outer(0, false)
	for _, port := range ports.vxlan {
		a.jumpIf(bpf.JumpEqual, uint32(port), "vxlan")
	}
	for _, port := range ports.geneve {
		a.jumpIf(bpf.JumpEqual, uint32(port), "geneve")
	}
	a.jump("zero")
	a.label("geneve")
	a.emit(bpf.LoadIndirect{Off: udpLen + 2, Size: 2}, bpf.StoreScratch{Src: bpf.RegA, N: slotPart},
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
	return a.resolve()
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
	a.emit(bpf.LoadConstant{Dst: bpf.RegX, Val: off}, bpf.LoadExtension{Num: bpf.ExtProto})
	for range tags {
		tagged := a.unique("tagged")
		for _, tpid := range []uint32{etherVLAN, etherQinQ, etherOld} {
			a.jumpIf(bpf.JumpEqual, tpid, tagged)
		}
		a.jump("outer")
		a.label(tagged)
		a.step(2, 2, 4)
	}
	a.label("outer")
	a.jumpIf(bpf.JumpEqual, etherIPv4, "outer4")
	a.jumpIf(bpf.JumpEqual, etherIPv6, "outer6")
	a.jump("zero")

	a.label("outer4")
	a.emit(bpf.LoadIndirect{Off: 9, Size: 1})
	a.jumpIf(bpf.JumpNotEqual, packet.ProtocolUDP, "zero")
	a.emit(bpf.LoadIndirect{Off: 6, Size: 2})
	a.jumpIf(bpf.JumpBitsSet, fragments, "zero")
	a.skipIPv4()
	a.jump("port")

	a.label("outer6")
	a.step(6, 1, ipv6Len)
	for range extensions {
		a.extension()
	}
	a.jumpIf(bpf.JumpNotEqual, packet.ProtocolUDP, "zero")
	a.label("port")
	a.emit(bpf.LoadIndirect{Off: 2, Size: 2})
}

// extension skips the IPv6 extension header at X, of the type in A, and leaves
// the next one's in A. It goes to "port" at UDP.
func (a *assembler) extension() {
	first, other, next := a.unique("fragment"), a.unique("extension"), a.unique("next")
	a.jumpIf(bpf.JumpEqual, packet.ProtocolUDP, "port")
	a.jumpIf(bpf.JumpEqual, fragment, first)
	for _, kind := range []uint32{hopByHop, routing, destinationOptions} {
		a.jumpIf(bpf.JumpEqual, kind, other)
	}
	a.jump("zero")
	a.label(first)
	a.emit(bpf.LoadIndirect{Off: 2, Size: 2})
	a.jumpIf(bpf.JumpBitsSet, 0xfff8, "zero")
	a.step(0, 1, fragmentLen)
	a.jump(next)
	a.label(other)
	a.emit(bpf.LoadIndirect{Off: 0, Size: 1}, bpf.StoreScratch{Src: bpf.RegA, N: slotPart},
		bpf.LoadIndirect{Off: 1, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 3},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 8},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.TAX{},
		bpf.LoadScratch{Dst: bpf.RegA, N: slotPart})
	a.label(next)
}

// step leaves the size bytes at off from X in A, and moves X on by n.
func (a *assembler) step(off uint32, size int, n uint32) {
	a.emit(bpf.LoadIndirect{Off: off, Size: size}, bpf.StoreScratch{Src: bpf.RegA, N: slotPart})
	a.advance(n)
	a.emit(bpf.LoadScratch{Dst: bpf.RegA, N: slotPart})
}
