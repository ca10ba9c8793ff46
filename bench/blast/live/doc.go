// Package live sends mirrored traffic faster than a socket can: VXLAN datagrams
// of many inner flows, each with a sequence number, at millions a second from
// one processor. It serves the programs that measure collectors.
//
// It has the kernel run an XDP program on frames of its own making
// (BPF_PROG_TEST_RUN with BPF_F_TEST_XDP_LIVE_FRAMES) and redirect them into one
// end of a veth pair, so that they arrive at the other. The program is assembled
// here; what it writes into each frame keeps every checksum right. The frames
// are in pages of the kernel's, at most as many as the receiver holds on to and
// a batch more.
//
// A sender belongs to one goroutine. It needs root, and the other end of the
// pair GRO or an XDP program: without, the kernel has nowhere to put a frame
// that is not a socket buffer.
//
// It is not a way to send to a real network, and paces nothing.
package live
