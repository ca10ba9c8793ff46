package live

import (
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// withComplement stores the low bits of src, in network order, at one place
// behind r2 and their complement at the others. It clears the other bits of src.
func withComplement(src asm.Register, size asm.Size, at int16, complements ...int16) asm.Instructions {
	p := asm.Instructions{
		asm.HostTo(asm.BE, src, size),
		asm.StoreMem(asm.R2, at, src, size),
		asm.Xor.Imm(src, -1),
	}
	for _, c := range complements {
		p = append(p, asm.StoreMem(asm.R2, c, src, size))
	}
	return p
}

// write returns the instructions that make frame n of the template, at r2, n
// being the counter, which they increment. Frame n is of flow n mod flows and
// the flow's segment n / flows; segment is the payload of one. They go to "end"
// unless what the verifier must know to be there is there: variedLen bytes from
// r2 to r3.
func write(counter int, flows, segment int32) asm.Instructions {
	increment := asm.FetchAdd.Mem(asm.R1, asm.R5, asm.DWord, 0)
	increment.Constant = unix.BPF_ADD | unix.BPF_FETCH // Marshal of cilium/ebpf 0.22.0 leaves that out
	p := asm.Instructions{
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, variedLen),
		asm.JGT.Reg(asm.R4, asm.R3, "end"),

		asm.LoadMapValue(asm.R1, counter, 0), // n = counter++
		asm.Mov.Imm(asm.R5, 1),
		increment,
		asm.Mov.Reg(asm.R6, asm.R5),
	}
	p = append(p, withComplement(asm.R6, asm.DWord, sequence, notSequence)...)
	p = append(p, // r7 is the segment, r5 the flow
		asm.Mov.Reg(asm.R7, asm.R5), asm.Div.Imm(asm.R7, flows),
		asm.Mov.Reg(asm.R8, asm.R7), asm.Mul.Imm(asm.R8, flows), asm.Sub.Reg(asm.R5, asm.R8),
		asm.Mul.Imm(asm.R7, segment))
	p = append(p, withComplement(asm.R7, asm.Word, tcpSeq, notTCPSeq)...)
	p = append(p, asm.Mov.Reg(asm.R6, asm.R5))
	p = append(p, withComplement(asm.R6, asm.Half, address, notAddress, ipID)...)
	p = append(p, asm.Mov.Reg(asm.R6, asm.R5), asm.RSh.Imm(asm.R6, 16), asm.Add.Imm(asm.R6, firstPort))
	p = append(p, withComplement(asm.R6, asm.Half, port, notPort)...)
	return append(p, // 7 bits of the flow's hash: 65408 to 65535, as AWS has it
		asm.Mul.Imm32(asm.R5, -0x61c88647), asm.RSh.Imm32(asm.R5, 25), asm.Or.Imm32(asm.R5, 0xff80),
		asm.HostTo(asm.BE, asm.R5, asm.Half),
		asm.StoreMem(asm.R2, outerPort, asm.R5, asm.Half))
}

// xdpProgram returns the program that redirects a live frame. What the interface
// itself receives passes.
func xdpProgram(ifindex int32, write asm.Instructions) asm.Instructions {
	const data, dataEnd, ingress, pass = 0, 4, 12, 2 // of struct xdp_md; XDP_PASS
	p := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, ingress, asm.Word),
		asm.JEq.Imm(asm.R2, ifindex, "end"),
		asm.LoadMem(asm.R2, asm.R1, data, asm.Word),
		asm.LoadMem(asm.R3, asm.R1, dataEnd, asm.Word),
	}
	return append(append(p, write...),
		asm.Mov.Imm(asm.R1, ifindex), asm.Mov.Imm(asm.R2, 0), asm.FnRedirect.Call(), asm.Return(),
		asm.Mov.Imm(asm.R0, pass).WithSymbol("end"), asm.Return())
}

// skbProgram returns the program that brings a socket buffer to the length of a
// datagram, by zeros, and sends a copy of it.
func skbProgram(ifindex, length int32, write asm.Instructions) asm.Instructions {
	const size, data, dataEnd = 0, 76, 80 // of struct __sk_buff
	p := asm.Instructions{
		asm.Mov.Reg(asm.R9, asm.R1),
		asm.LoadMem(asm.R2, asm.R9, size, asm.Word),
		asm.JEq.Imm(asm.R2, length, "long"),
		asm.Mov.Reg(asm.R1, asm.R9), asm.Mov.Imm(asm.R2, length), asm.Mov.Imm(asm.R3, 0), asm.FnSkbChangeTail.Call(),
		asm.LoadMem(asm.R2, asm.R9, data, asm.Word).WithSymbol("long"),
		asm.LoadMem(asm.R3, asm.R9, dataEnd, asm.Word),
	}
	return append(append(p, write...),
		asm.Mov.Reg(asm.R1, asm.R9), asm.Mov.Imm(asm.R2, ifindex), asm.Mov.Imm(asm.R3, 0), asm.FnCloneRedirect.Call(),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("end"), asm.Return())
}
