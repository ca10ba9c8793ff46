// Package live sends mirrored traffic faster than a socket can: VXLAN datagrams
// of many inner flows, each with a sequence number, at millions a second from
// one processor. It serves the programs that measure collectors.
//
// It has the kernel run a program on packets of its own making
// (BPF_PROG_TEST_RUN) and send them into one end of a veth pair, so that they
// arrive at the other: up to [MaxLive] bytes, XDP frames that are redirected,
// longer ones as socket buffers, at some 3 us each. The program is assembled
// here; what it writes into each packet keeps every checksum right. The packets
// are memory of the kernel's: what the receiver holds on to, and a batch more.
//
// A sender belongs to one goroutine, locked to a thread in the namespace of the
// interface. It needs root, and the other end of the pair GRO, switched on when
// both are up, or an XDP program: without, the kernel has nowhere to put a frame
// that is not a socket buffer, and drops it uncounted.
//
// It is not a way to send to a real network, and paces nothing.
package live
