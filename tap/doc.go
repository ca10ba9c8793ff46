// Package tap mirrors an interface of its own network namespace to a collector,
// as AWS VPC Traffic Mirroring would: for tasks whose interface AWS refuses to
// mirror, from a container beside theirs.
//
//	packet ring ──> exclusions, filter ──> limits ──> segments ──> VXLAN to the collector
//	                (kernel)    (rules)
//
// A [Tap] sees frames as the kernel hands them to the interface and takes them
// from it: before the hardware cuts long ones into segments and finishes
// checksums, and behind what put received ones together. It does that work
// itself, so that the collector gets frames as they are on the wire. It never
// mirrors its own datagrams, nor what AWS never mirrors.
//
// It is bounded. Memory: the ring of 8 MiB, 0.2 MiB to send from, and in the kernel
// a socket's buffer of 0.4 MiB. Beyond the rate it drops frames; beyond its
// share of a processor, when its control group is throttled, or when the
// interface's queue drops, it closes the ring's filter for a while. A full socket
// drops. Nothing it does waits for the network, and each frame that is not sent is
// counted by reason.
//
// It needs CAP_NET_RAW, and takes classic socket filters alone: no bpf(2).
package tap
