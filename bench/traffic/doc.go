// Package traffic makes synthetic mirrored traffic: inner Ethernet frames as a
// mirrored interface sees them, the datagrams AWS VPC Traffic Mirroring wraps
// them in, and a sender of such datagrams. It serves `periscope send`, tests
// and benchmarks.
//
// Two generators make frames. [Frames] yields many flows of plain traffic, each
// frame with a sequence number, for load and loss. [Stacks] cycles through every
// stack of headers that decode reads. Both are deterministic: the same
// configuration gives the same bytes. What they make is valid, down to lengths
// and checksums.
//
// Everything is appended to the caller's buffer; nothing is allocated once that
// buffer is long enough. A generator belongs to one goroutine. Functions without
// a receiver are safe for any number of them.
//
// It is not a protocol implementation: nothing answers, nothing is retransmitted,
// and the headers it writes are those the tests need.
package traffic
