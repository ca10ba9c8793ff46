// Command limit is the least a receiver can do: for each way to receive, a loop
// that takes datagrams to UDP 4789 and discards them or, with -write, appends
// the frames in them to files. What a collector costs is held against it.
//
//	limit [-write DIR] udp
//	limit [-write DIR] -interface IF afpacket|xdp
//
// It says "ready" when it receives. After SIGINT it reads what is there, and says
// how many packets that made. It looks into nothing: every datagram has outer
// headers without options. With -write a frame is a record of 16 bytes and its
// own, in writes of 1 MiB, to 4 files of 128 MiB in turn: what was there before is
// gone then.
//
// One goroutine, locked to its thread, does all of it. Memory is the ring or the
// socket's buffer, of 64 MiB, and 1 MiB for what is written.
package main
