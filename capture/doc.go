// Package capture takes datagrams in: from UDP sockets on the tunnel ports, from a
// ring of an interface's packets (AF_PACKET), from the buffers its driver fills
// (AF_XDP), and from capture files. Each is a Source, which lends batches of
// datagrams.
//
// A source owns the memory of its batches. Next transfers a batch to the
// caller, Release gives it back, and nothing in it may be used after that. Each
// source has a fixed number of batches of fixed size, so its memory does not
// grow with what it reads. One goroutine calls Next; Release may come from any.
//
// The sockets are read in batches straight into batch memory, with the kernel's
// timestamps and its count of what it lost; a program on the sockets' group
// steers both directions of an inner flow to one of them. Files hands over what
// capture files hold, in the order of the files: pcap and pcapng, plain or
// compressed, with the outer headers taken off.
//
// AFPacket and XDP take one interface over and use packets where the kernel put
// them. Their memory is locked and fixed: a ring a worker, or buffers a receive
// queue. Programs in the kernel keep what they take from the IP stack; they are
// assembled here, and go with the process. What they leave arrives by the UDP
// sockets, so Both makes one source of the two.
//
// Capture looks at outer headers only. It does not know what a tunnel carries,
// which session a datagram belongs to, or who keeps it.
package capture
