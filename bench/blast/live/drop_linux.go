package live

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// Drop attaches a program to the interface of that index that drops all it
// receives, until what it returns is called, or nothing refers to that any more.
// The end of the process detaches it, too. With it in place, a sender is measured
// and nothing else.
func Drop(ifindex int) (detach func() error, err error) {
	const xdpDrop = 1
	program, err := load(ebpf.XDP, asm.Instructions{asm.Mov.Imm(asm.R0, xdpDrop), asm.Return()})
	if err != nil {
		return nil, err
	}
	defer program.Close() // the link keeps it
	l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: ifindex, Flags: link.XDPDriverMode})
	if err != nil {
		return nil, err
	}
	return l.Close, nil
}
