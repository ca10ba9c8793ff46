package capture

import (
	"github.com/cilium/ebpf"
	ebpflink "github.com/cilium/ebpf/link"
)

// dropBehind attaches to the interface's ingress the program that drops what
// the rings have taken, so that it climbs no IP stack and wakes no socket. Packet
// sockets see a packet before this hook (__netif_receive_skb_core in
// net/core/dev.c). The program is there until the link is closed, and no longer
// than the process; programs that others have on the hook stay. It takes Linux
// 6.6, CAP_NET_ADMIN and CAP_BPF.
func dropBehind(ifindex int, ports tunnelPorts) (ebpflink.Link, error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "periscope_drop", Type: ebpf.SchedCLS, License: "Apache-2.0", Instructions: tcxProgram(ports)})
	if err != nil {
		return nil, err
	}
	defer program.Close() // the link keeps it
	return ebpflink.AttachTCX(ebpflink.TCXOptions{Program: program, Interface: ifindex, Attach: ebpf.AttachTCXIngress})
}
