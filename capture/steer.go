package capture

import (
	"golang.org/x/net/bpf"

	"github.com/periscope-collector/periscope/internal/cbpf"
	"github.com/periscope-collector/periscope/tunnel"
)

// Steering returns the classic BPF program that chooses the socket of a
// SO_REUSEPORT group for a datagram to a tunnel port: a symmetric hash of the
// inner 5-tuple modulo the number of sockets, so that both directions of a
// flow, and both copies when both its ends are mirrored, meet on one worker.
// It computes what decode.FlowHash computes.
//
// The kernel runs it on the UDP payload (net/core/sock_reuseport.c), and gives
// the datagram to socket 0 when a load runs past its end.
func Steering(port, sockets int) ([]bpf.Instruction, error) {
	a := assembler{}
	if port == tunnel.GENEVEPort {
		a.geneve()
	} else {
		a.Emit(bpf.LoadConstant{Dst: bpf.RegX, Val: tunnel.VXLANLen})
	}
	a.ethernet()
	a.ipv4()
	a.ipv6()
	a.mix(uint32(sockets))
	return a.Resolve()
}

// Scratch slots. X holds the offset of the header at hand throughout.
const (
	slotX   = iota // X, while it holds an operand
	slotSrc        // the source address, folded
	slotDst        // the destination address, folded; in the end the hash
	slotProto
	slotSport
	slotDport
	slotPart // an intermediate result
)

// geneve leaves X at the inner frame, or goes to the inner IP header where
// there is no Ethernet.
func (a *assembler) geneve() {
	a.Emit(bpf.LoadAbsolute{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x3f},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: tunnel.GENEVELen},
		bpf.TAX{},
		bpf.LoadAbsolute{Off: 2, Size: 2})
	a.genevePayload()
}

// genevePayload goes on by the GENEVE protocol in A, with X at the payload.
func (a *assembler) genevePayload() {
	a.JumpIf(bpf.JumpEqual, tunnel.ProtocolEthernet, "ethernet")
	a.JumpIf(bpf.JumpEqual, tunnel.ProtocolIPv4, "middle4")
	a.JumpIf(bpf.JumpEqual, tunnel.ProtocolIPv6, "middle6")
	a.Jump("zero")

	// The middle header of a Gateway Load Balancer is IP > UDP 4789 > VXLAN.
	// Any other IP packet is the mirrored one.
	a.Label("middle4")
	a.Emit(bpf.LoadIndirect{Off: 9, Size: 1})
	a.JumpIf(bpf.JumpNotEqual, 17, "ipv4")
	a.Emit(bpf.LoadIndirect{Off: 6, Size: 2})
	a.JumpIf(bpf.JumpBitsSet, 0x1fff, "ipv4")
	a.Emit(bpf.StoreScratch{Src: bpf.RegX, N: slotX})
	a.SkipIPv4()
	a.Emit(bpf.LoadIndirect{Off: 2, Size: 2})
	a.JumpIf(bpf.JumpEqual, tunnel.VXLANPort, "vxlan")
	a.Emit(bpf.LoadScratch{Dst: bpf.RegX, N: slotX})
	a.Jump("ipv4")

	a.Label("middle6")
	a.Emit(bpf.LoadIndirect{Off: 6, Size: 1})
	a.JumpIf(bpf.JumpNotEqual, 17, "ipv6")
	a.Emit(bpf.LoadIndirect{Off: 42, Size: 2})
	a.JumpIf(bpf.JumpNotEqual, tunnel.VXLANPort, "ipv6")
	a.Advance(40)

	a.Label("vxlan")
	a.Advance(8 + tunnel.VXLANLen)
}

// ethernet leaves X at the network header, behind at most two VLAN tags.
func (a *assembler) ethernet() {
	a.Label("ethernet")
	a.Advance(12)
	for range 2 {
		tagged, next := a.Unique("tagged"), a.Unique("next")
		a.Emit(bpf.LoadIndirect{Off: 0, Size: 2})
		for _, tpid := range []uint32{0x8100, 0x88a8, 0x9100} {
			a.JumpIf(bpf.JumpEqual, tpid, tagged)
		}
		a.Jump(next)
		a.Label(tagged)
		a.Advance(4)
		a.Label(next)
	}
	a.Emit(bpf.LoadIndirect{Off: 0, Size: 2}, bpf.StoreScratch{Src: bpf.RegA, N: slotPart})
	a.Advance(2)
	a.Emit(bpf.LoadScratch{Dst: bpf.RegA, N: slotPart})
	a.JumpIf(bpf.JumpEqual, 0x0800, "ipv4")
	a.JumpIf(bpf.JumpEqual, 0x86dd, "ipv6")
	a.Label("zero")
	a.Emit(bpf.RetConstant{Val: 0})
}

func (a *assembler) ipv4() {
	a.Label("ipv4")
	a.fold(slotSrc, 12)
	a.fold(slotDst, 16)
	a.Emit(bpf.LoadIndirect{Off: 9, Size: 1}, bpf.StoreScratch{Src: bpf.RegA, N: slotProto})
	a.jumpUnlessPorts("portless")
	a.Emit(bpf.LoadIndirect{Off: 6, Size: 2})
	a.JumpIf(bpf.JumpBitsSet, 0x3fff, "portless") // a fragment, the first one too
	a.SkipIPv4()
	a.Jump("ports")
}

func (a *assembler) ipv6() {
	a.Label("ipv6")
	a.fold(slotSrc, 8, 12, 16, 20)
	a.fold(slotDst, 24, 28, 32, 36)
	a.Emit(bpf.LoadIndirect{Off: 6, Size: 1}, bpf.StoreScratch{Src: bpf.RegA, N: slotProto})
	a.jumpUnlessPorts("portless")
	a.Advance(40)

	a.Label("ports")
	a.Emit(bpf.LoadIndirect{Off: 0, Size: 2}, bpf.StoreScratch{Src: bpf.RegA, N: slotSport},
		bpf.LoadIndirect{Off: 2, Size: 2}, bpf.StoreScratch{Src: bpf.RegA, N: slotDport})
	a.Jump("mix")
	a.Label("portless")
	a.Emit(bpf.LoadConstant{Dst: bpf.RegA, Val: 0},
		bpf.StoreScratch{Src: bpf.RegA, N: slotSport},
		bpf.StoreScratch{Src: bpf.RegA, N: slotDport})
}

// mix is decode's function of that name, modulo sockets.
func (a *assembler) mix(sockets uint32) {
	a.Label("mix")
	// (sport ^ dport) + (sport+dport)<<16, times a constant
	a.pair(bpf.ALUOpAdd, slotSport, slotDport)
	a.Emit(bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 16}, bpf.StoreScratch{Src: bpf.RegA, N: slotPart})
	a.pair(bpf.ALUOpXor, slotSport, slotDport)
	a.with(bpf.ALUOpAdd, slotPart)
	a.Emit(bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 0x85ebca6b}, bpf.StoreScratch{Src: bpf.RegA, N: slotSport})
	// (src ^ dst) times a constant, + src + dst
	a.pair(bpf.ALUOpXor, slotSrc, slotDst)
	a.Emit(bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 0x9e3779b1})
	a.with(bpf.ALUOpAdd, slotSrc)
	a.with(bpf.ALUOpAdd, slotDst)
	a.with(bpf.ALUOpXor, slotSport)
	a.Emit(bpf.StoreScratch{Src: bpf.RegA, N: slotPart},
		bpf.LoadScratch{Dst: bpf.RegA, N: slotProto},
		bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: 0xc2b2ae35})
	a.with(bpf.ALUOpAdd, slotPart)
	for _, step := range []struct{ shift, mul uint32 }{{16, 0x85ebca6b}, {13, 0xc2b2ae35}, {16, 1}} {
		a.Emit(bpf.TAX{},
			bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: step.shift},
			bpf.ALUOpX{Op: bpf.ALUOpXor},
			bpf.ALUOpConstant{Op: bpf.ALUOpMul, Val: step.mul})
	}
	a.Emit(bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: sockets}, bpf.RetA{})
}

// pair leaves op of two slots in A.
func (a *assembler) pair(op bpf.ALUOp, x, y int) {
	a.Emit(bpf.LoadScratch{Dst: bpf.RegA, N: x})
	a.with(op, y)
}

// with applies op of A and a slot to A. It uses X.
func (a *assembler) with(op bpf.ALUOp, slot int) {
	a.Emit(bpf.LoadScratch{Dst: bpf.RegX, N: slot}, bpf.ALUOpX{Op: op})
}

// fold leaves the XOR of the 32-bit words at the given offsets from X in a
// slot, and X as it was.
func (a *assembler) fold(slot int, offsets ...uint32) {
	a.Emit(bpf.StoreScratch{Src: bpf.RegX, N: slotX}, bpf.LoadIndirect{Off: offsets[0], Size: 4})
	for _, offset := range offsets[1:] {
		a.Emit(bpf.StoreScratch{Src: bpf.RegA, N: slot}, bpf.LoadIndirect{Off: offset, Size: 4})
		a.with(bpf.ALUOpXor, slot)
		a.Emit(bpf.LoadScratch{Dst: bpf.RegX, N: slotX})
	}
	a.Emit(bpf.StoreScratch{Src: bpf.RegA, N: slot})
}

// jumpUnlessPorts goes to label unless A is a protocol with ports.
func (a *assembler) jumpUnlessPorts(label string) {
	ports := a.Unique("ports")
	for _, protocol := range []uint32{6, 17, 132} {
		a.JumpIf(bpf.JumpEqual, protocol, ports)
	}
	a.Jump(label)
	a.Label(ports)
}

// An assembler has what programs about mirrored frames share.
type assembler struct{ cbpf.Assembler }
