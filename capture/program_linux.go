package capture

import (
	"fmt"

	"github.com/cilium/ebpf/asm"

	"github.com/periscope-collector/periscope/packet"
)

// Registers of the programs below, which calls into the kernel keep.
const (
	regContext = asm.R6
	regStart   = asm.R7 // of the packet
	regEnd     = asm.R8 // behind it
)

// Fields of the contexts (struct xdp_md and struct __sk_buff, linux/bpf.h).
const (
	xdpData, xdpDataEnd, xdpDataMeta, xdpQueueIndex = 0, 4, 8, 16

	skbLen, skbType, skbData, skbDataEnd = 0, 4, 76, 80
)

// What the programs return.
const (
	xdpPass = 2
	tcxNext = -1 // what else is on the hook decides
	tcxDrop = 2
)

// outerLen is the most that outerMatch reads: Ethernet, two tags, IPv4 with
// options, UDP.
const outerLen = packet.EthernetLen + 2*4 + 60 + udpLen

// stampLen is the room the program makes in front of a packet for the time, in
// nanoseconds of the monotonic clock.
const stampLen = 8

// xdpProgram returns the program that hands datagrams to the ports that come to
// the hardware address to the socket of their queue in the map, and lets the
// rest pass: all that comes for a queue without a socket, too. The kernel's
// clock is written in front of the packet where the driver keeps room for that.
func xdpProgram(ports tunnelPorts, mac [6]byte, sockets int) asm.Instructions {
	program := asm.Instructions{
		asm.Mov.Reg(regContext, asm.R1),
		asm.LoadMem(regStart, regContext, xdpData, asm.Word),
		asm.LoadMem(regEnd, regContext, xdpDataEnd, asm.Word),
	}
	program = append(program, toHost(mac)...)
	program = append(program, outerMatch(ports)...)
	return append(program,
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"),
		asm.Return(),

		asm.Mov.Reg(asm.R1, regContext).WithSymbol("take"),
		asm.Mov.Imm(asm.R2, -stampLen),
		asm.FnXdpAdjustMeta.Call(),
		asm.JNE.Imm(asm.R0, 0, "redirect"),
		asm.FnKtimeGetNs.Call(),
		asm.LoadMem(asm.R1, regContext, xdpDataMeta, asm.Word),
		asm.LoadMem(asm.R2, regContext, xdpData, asm.Word),
		asm.Mov.Reg(asm.R3, asm.R1),
		asm.Add.Imm(asm.R3, stampLen),
		asm.JGT.Reg(asm.R3, asm.R2, "redirect"),
		asm.StoreMem(asm.R1, 0, asm.R0, asm.DWord),

		asm.LoadMapPtr(asm.R1, sockets).WithSymbol("redirect"),
		asm.LoadMem(asm.R2, regContext, xdpQueueIndex, asm.Word),
		asm.Mov.Imm(asm.R3, xdpPass),
		asm.FnRedirectMap.Call(),
		asm.Return(),
	)
}

// tcxProgram returns the program that drops, behind the rings, what xdpProgram
// would take. The kernel has said whom a packet is for, and has taken the first
// VLAN tag out of it; two may follow.
func tcxProgram(ports tunnelPorts) asm.Instructions {
	program := asm.Instructions{
		asm.Mov.Reg(regContext, asm.R1),
		asm.LoadMem(asm.R0, regContext, skbType, asm.Word),
		asm.JEq.Imm(asm.R0, otherHost, "pass"),
		asm.LoadMem(regStart, regContext, skbData, asm.Word),
		asm.LoadMem(regEnd, regContext, skbDataEnd, asm.Word),
		asm.Mov.Reg(asm.R0, regStart),
		asm.Add.Imm(asm.R0, outerLen),
		asm.JLE.Reg(asm.R0, regEnd, "linear"),

		// Headers may be in fragments of the buffer, out of reach.
		asm.LoadMem(asm.R2, regContext, skbLen, asm.Word),
		asm.JLE.Imm(asm.R2, outerLen, "pull"),
		asm.Mov.Imm(asm.R2, outerLen),
		asm.Mov.Reg(asm.R1, regContext).WithSymbol("pull"),
		asm.FnSkbPullData.Call(),
		asm.LoadMem(regStart, regContext, skbData, asm.Word),
		asm.LoadMem(regEnd, regContext, skbDataEnd, asm.Word),
	}
	match := outerMatch(ports)
	match[0] = match[0].WithSymbol("linear")
	program = append(program, match...)
	return append(program,
		asm.Mov.Imm(asm.R0, tcxNext).WithSymbol("pass"),
		asm.Return(),
		asm.Mov.Imm(asm.R0, tcxDrop).WithSymbol("take"),
		asm.Return(),
	)
}

// toHost goes to "pass" unless the packet is for the hardware address, or for a
// group: what others get is seen when someone sets the interface promiscuous.
// The loopback's address is zero, as is that of its packets.
func toHost(mac [6]byte) asm.Instructions {
	program := within(regStart, packet.EthernetLen)
	program = append(program,
		asm.LoadMem(asm.R0, regStart, 0, asm.Byte),
		asm.JSet.Imm(asm.R0, 1, "host"))
	for i, b := range mac {
		program = append(program,
			asm.LoadMem(asm.R0, regStart, int16(i), asm.Byte),
			asm.JNE.Imm(asm.R0, int32(b), "pass"))
	}
	return append(program, asm.Mov.Reg(asm.R0, asm.R0).WithSymbol("host"))
}

// outerMatch goes to "take" when an Ethernet frame is a whole datagram to one of
// the ports: behind at most two VLAN tags, over IPv4 or, without extension
// headers, IPv6. Else it goes to "pass", which has to follow. Fragments pass, the
// first one too, so that the IP stack puts them together.
func outerMatch(ports tunnelPorts) asm.Instructions {
	const at, kind, field = asm.R2, asm.R3, asm.R4
	p := within(regStart, packet.EthernetLen)
	p = append(p,
		asm.LoadMem(kind, regStart, 12, asm.Half),
		asm.HostTo(asm.BE, kind, asm.Half),
		asm.Mov.Reg(at, regStart),
		asm.Add.Imm(at, packet.EthernetLen))
	for i := range 2 {
		tag := fmt.Sprintf("tag%d", i)
		for _, tpid := range []int32{etherVLAN, etherQinQ, etherOld} {
			p = append(p, asm.JEq.Imm(kind, tpid, tag))
		}
		p = append(p, asm.Ja.Label("network"))
		skip := within(at, 4)
		skip[0] = skip[0].WithSymbol(tag)
		p = append(p, skip...)
		p = append(p,
			asm.LoadMem(kind, at, 2, asm.Half),
			asm.HostTo(asm.BE, kind, asm.Half),
			asm.Add.Imm(at, 4))
	}
	p = append(p,
		asm.JEq.Imm(kind, etherIPv4, "ipv4").WithSymbol("network"),
		asm.JNE.Imm(kind, etherIPv6, "pass"))
	p = append(p, within(at, ipv6Len+udpLen)...)
	p = append(p,
		asm.LoadMem(field, at, 6, asm.Byte),
		asm.JNE.Imm(field, packet.ProtocolUDP, "pass"),
		asm.Add.Imm(at, ipv6Len),
		asm.Ja.Label("udp"))

	ipv4 := within(at, 20+udpLen)
	ipv4[0] = ipv4[0].WithSymbol("ipv4")
	p = append(p, ipv4...)
	p = append(p,
		asm.LoadMem(field, at, 9, asm.Byte),
		asm.JNE.Imm(field, packet.ProtocolUDP, "pass"),
		asm.LoadMem(field, at, 6, asm.Half),
		asm.HostTo(asm.BE, field, asm.Half),
		asm.JSet.Imm(field, 0x3fff, "pass"), // more fragments, or not the first
		asm.LoadMem(field, at, 0, asm.Byte),
		asm.And.Imm(field, 0x0f))
	for words := range int32(11) { // adding what is in a register takes CAP_PERFMON
		next := fmt.Sprintf("longer%d", words)
		p = append(p,
			asm.JNE.Imm(field, 5+words, next),
			asm.Add.Imm(at, 4*(5+words)),
			asm.Ja.Label("options"),
			asm.Mov.Reg(field, field).WithSymbol(next))
	}
	p = append(p, asm.Ja.Label("pass"))
	options := within(at, udpLen)
	options[0] = options[0].WithSymbol("options")
	p = append(p, options...)

	p = append(p,
		asm.LoadMem(field, at, 2, asm.Half).WithSymbol("udp"),
		asm.HostTo(asm.BE, field, asm.Half))
	for _, list := range [][]uint16{ports.vxlan, ports.geneve} {
		for _, port := range list {
			p = append(p, asm.JEq.Imm(field, int32(port), "take"))
		}
	}
	return p
}

// within goes to "pass" unless the packet has n bytes from the register on.
func within(at asm.Register, n int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R0, at),
		asm.Add.Imm(asm.R0, n),
		asm.JGT.Reg(asm.R0, regEnd, "pass"),
	}
}
