// Package flow accounts for frames by flow: per session and inner 5-tuple, both
// ways, and writes a packet.Flow for every flow and interval.
//
// A [Table] is made of logical shards, each with flows, limits and state of its
// own. Shard s belongs to worker s modulo the number of workers, so that no two
// goroutines meet; what a shard writes depends on its frames and on the clock
// alone, so that in replay it is the same whatever the number of workers. The
// clock is that of the batches; no other is read.
//
// Memory is bounded and taken as it is first used: 168 bytes a flow of capacity
// in one slab, about 10 for the index, for gaps in TCP sequences and for recent
// packets, and 16 KiB a shard. None of it holds pointers. Beside it each session
// seen, with each outer source if the session is unknown, takes about 150 bytes
// in each shard as long as a flow of it is there. Nothing is allocated per
// packet.
//
// A full table makes room by writing a record early. Which flow has to go is
// said at shard.evictable: a flood of single packets does not displace
// conversations.
//
// The package does not decode, does not know sinks, and does not reassemble.
package flow
