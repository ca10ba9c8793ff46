// Package cbpf assembles classic BPF programs: socket filters, and what chooses
// a socket of a group.
//
// An [Assembler] is for one goroutine. It owns the program until Resolve has
// returned it. It does not know what a program is about.
package cbpf

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// RefuseAll is the filter that keeps every packet out.
var RefuseAll = []bpf.Instruction{bpf.RetConstant{Val: 0}}

// An Assembler resolves jumps to labels, which classic BPF only knows as
// distances forward. The zero value is an empty program.
type Assembler struct {
	code   []bpf.Instruction
	labels map[string]int
	fixes  []fix
	names  int
}

// A fix is a jump whose distance is not known yet.
type fix struct {
	at    int
	label string
}

// Emit appends instructions.
func (a *Assembler) Emit(code ...bpf.Instruction) { a.code = append(a.code, code...) }

// Label names the next instruction.
func (a *Assembler) Label(name string) {
	if a.labels == nil {
		a.labels = make(map[string]int)
	}
	a.labels[name] = len(a.code)
}

// Unique returns a label's name that was not returned before.
func (a *Assembler) Unique(prefix string) string {
	a.names++
	return fmt.Sprintf("%s.%d", prefix, a.names)
}

// Jump goes to label, which has to be ahead.
func (a *Assembler) Jump(label string) {
	a.fixes = append(a.fixes, fix{len(a.code), label})
	a.Emit(bpf.Jump{})
}

// JumpIf goes to label when A compares to val. Conditional jumps reach 255
// instructions, unconditional ones any distance, so it skips over one.
func (a *Assembler) JumpIf(cond bpf.JumpTest, val uint32, label string) {
	a.Emit(bpf.JumpIf{Cond: cond, Val: val, SkipTrue: 0, SkipFalse: 1})
	a.Jump(label)
}

// Advance adds n to X. It uses A.
func (a *Assembler) Advance(n uint32) {
	a.Emit(bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: n}, bpf.TAX{})
}

// SkipIPv4 moves X from an IPv4 header to what follows it. It uses A.
func (a *Assembler) SkipIPv4() {
	a.Emit(bpf.LoadIndirect{Off: 0, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0f},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2},
		bpf.ALUOpX{Op: bpf.ALUOpAdd},
		bpf.TAX{})
}

// Resolve returns the program. It is an error if a jump goes to a label that is
// not ahead.
func (a *Assembler) Resolve() ([]bpf.Instruction, error) {
	for _, f := range a.fixes {
		to, ok := a.labels[f.label]
		if !ok || to <= f.at {
			return nil, fmt.Errorf("cbpf: label %q is not ahead", f.label)
		}
		a.code[f.at] = bpf.Jump{Skip: uint32(to - f.at - 1)}
	}
	return a.code, nil
}
