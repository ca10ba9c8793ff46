package live

import "golang.org/x/sys/unix"

// Registers: r0 is the result, r1 the argument, r6 to r9 survive calls.
const (
	r0 = iota
	r1
	r2
	r3
	r4
	r5
	r6
	r7
	r8
	r9
)

// Names of the instructions the program needs.

func alu(op uint8, dst uint8, imm int32) instruction {
	return instruction{op: unix.BPF_ALU64 | op, regs: dst, imm: imm}
}

func alu32(op uint8, dst uint8, imm int32) instruction {
	return instruction{op: unix.BPF_ALU | op, regs: dst, imm: imm}
}

func aluReg(op uint8, dst, src uint8) instruction {
	return instruction{op: unix.BPF_ALU64 | unix.BPF_X | op, regs: dst | src<<4}
}

func set(dst uint8, imm int32) instruction { return alu(unix.BPF_MOV, dst, imm) }
func move(dst, src uint8) instruction      { return aluReg(unix.BPF_MOV, dst, src) }
func invert(dst uint8) instruction         { return alu(unix.BPF_XOR, dst, -1) }

// networkOrder swaps the low bits of dst and clears the others.
func networkOrder(dst uint8, bits int32) instruction {
	return instruction{op: unix.BPF_ALU | unix.BPF_END | unix.BPF_TO_BE, regs: dst, imm: bits}
}

func store(size, src uint8, offset int16) instruction {
	return instruction{op: unix.BPF_STX | unix.BPF_MEM | size, regs: r2 | src<<4, off: offset}
}

func loadWord(dst, src uint8, offset int16) instruction {
	return instruction{op: unix.BPF_LDX | unix.BPF_MEM | unix.BPF_W, regs: dst | src<<4, off: offset}
}

// withComplement stores the low bits of src at one place and their complement
// at the others.
func withComplement(src uint8, size uint8, bits int32, at int16, complements ...int16) []instruction {
	p := []instruction{networkOrder(src, bits), store(size, src, at), invert(src)}
	for _, c := range complements {
		p = append(p, store(size, src, c))
	}
	return p
}

// write returns the instructions that make frame n of the template, at r2, n
// being the counter, which they increment. Frame n is of flow n mod flows and
// the flow's segment n / flows; segment is the payload of one.
func write(counter int, flows, segment int32) []instruction {
	p := []instruction{
		// n = counter++
		{op: unix.BPF_LD | unix.BPF_IMM | unix.BPF_DW, regs: r1 | unix.BPF_PSEUDO_MAP_VALUE<<4, imm: int32(counter)}, {},
		set(r5, 1),
		{op: unix.BPF_STX | unix.BPF_ATOMIC | unix.BPF_DW, regs: r1 | r5<<4, imm: unix.BPF_ADD | unix.BPF_FETCH},
		move(r6, r5),
	}
	p = append(p, withComplement(r6, unix.BPF_DW, 64, sequence, notSequence)...)
	p = append(p, // r7 is the segment, r5 the flow
		move(r7, r5), alu(unix.BPF_DIV, r7, flows),
		move(r8, r7), alu(unix.BPF_MUL, r8, flows), aluReg(unix.BPF_SUB, r5, r8),
		alu(unix.BPF_MUL, r7, segment))
	p = append(p, withComplement(r7, unix.BPF_W, 32, tcpSeq, notTCPSeq)...)
	p = append(p, move(r6, r5))
	p = append(p, withComplement(r6, unix.BPF_H, 16, address, notAddress, ipID)...)
	p = append(p, move(r6, r5), alu(unix.BPF_RSH, r6, 16), alu(unix.BPF_ADD, r6, firstPort))
	p = append(p, withComplement(r6, unix.BPF_H, 16, port, notPort)...)
	return append(p, // 7 bits of the flow's hash: 65408 to 65535, as AWS has it
		alu32(unix.BPF_MUL, r5, -0x61c88647), alu32(unix.BPF_RSH, r5, 25), alu32(unix.BPF_OR, r5, 0xff80),
		networkOrder(r5, 16), store(unix.BPF_H, r5, outerPort))
}

// ifShort returns the instructions that jump over so many unless what the
// verifier must know to be there is there: variedLen bytes from r2 to r3.
func ifShort(over int) []instruction {
	return []instruction{
		move(r4, r2), alu(unix.BPF_ADD, r4, variedLen),
		{op: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_X, regs: r4 | r3<<4, off: int16(over)},
	}
}

func call(function int32) instruction {
	return instruction{op: unix.BPF_JMP | unix.BPF_CALL, imm: function}
}

func exit() instruction { return instruction{op: unix.BPF_JMP | unix.BPF_EXIT} }

// xdpProgram returns the program that redirects a live frame. What the interface
// itself receives passes.
func xdpProgram(ifindex int, write []instruction) []instruction {
	const redirect, pass = 23, 2 // BPF_FUNC_redirect, XDP_PASS
	send := append(write, set(r1, int32(ifindex)), set(r2, 0), call(redirect), exit())
	head := append([]instruction{loadWord(r2, r1, 0), loadWord(r3, r1, 4)}, ifShort(len(send))...) // data, data_end
	p := []instruction{
		loadWord(r2, r1, 12), // ingress_ifindex
		{op: unix.BPF_JMP | unix.BPF_JEQ, regs: r2, off: int16(len(head) + len(send)), imm: int32(ifindex)},
	}
	return append(append(append(p, head...), send...), set(r0, pass), exit())
}

// skbProgram returns the program that brings a socket buffer to the length of a
// datagram, by zeros, and sends a copy of it.
func skbProgram(ifindex, length int, write []instruction) []instruction {
	const changeTail, cloneRedirect = 38, 13 // BPF_FUNC_skb_change_tail, BPF_FUNC_clone_redirect
	send := append(write, move(r1, r9), set(r2, int32(ifindex)), set(r3, 0), call(cloneRedirect))
	p := []instruction{
		move(r9, r1),
		loadWord(r2, r9, 0), // len
		{op: unix.BPF_JMP | unix.BPF_JEQ, regs: r2, off: 4, imm: int32(length)},
		move(r1, r9), set(r2, int32(length)), set(r3, 0), call(changeTail),
		loadWord(r2, r9, 76), loadWord(r3, r9, 80), // data, data_end
	}
	return append(append(append(p, ifShort(len(send))...), send...), set(r0, 0), exit())
}
