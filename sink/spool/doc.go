// Package spool keeps events on disk from when they are made until their final
// outcome is known: a log of segments that one goroutine appends to and several
// read from, in batches that are committed in any order. It does not know what
// an event is.
//
// A directory is the spool's alone, 0700 and locked, its files 0600:
//
//	<number>.spool  a segment: a header of 32 bytes (magic, version, directory's
//	                id, number), then records of CRC-32C, length, time and event
//	checkpoint      what was not committed when it was written
//	committed.<n>   what was since, in two files by turns; see journal
//
// Integers are little endian; record.go has the layouts. A position, which is a
// segment and an offset in it, is never used twice in a directory: a process
// begins a segment of its own, and the newest segment is never removed.
//
// Guarantee: an event is delivered to a reader at least once. Append copies it to
// a buffer, which is with the kernel after 64 KiB, when somebody reads, and
// within a quarter of Config.SyncEvery; then a killed process loses nothing. It is
// on the disk within another Config.SyncEvery, or after 1 MiB. What was committed
// is not read again after a kill; after a loss of power what was committed in the
// second or so since the last checkpoint is. Nothing is lost silently: Stats has
//
//	Found + Appended = Committed + Dropped + Pending.
//
// When the disk is full or fails, Append refuses events with the reason and tries
// again after each sync. After a sync that failed, what is in the kernel's memory
// may never be on the disk; it is read and sent from there, and Stats.SyncErrors
// counts.
//
// The time of an event is when the first of those written together with it was
// appended, at most Config.SyncEvery before. The clock is the machine's: set
// ahead, it makes events expire early.
//
// A record that a crash left incomplete is cut off by the next Open. A corrupt
// one inside is dropped, or with it those behind that cannot be found without it,
// to the end of what is read there; never more than its segment.
//
// Memory: 64 KiB of buffer and one event of at most [MaxEvent] bytes; for each
// batch that is out, and for [keepBatches] that are not, what its Read asked for
// plus one event, and 24 bytes for each event; some 250 bytes for one that is
// parked. Beside that some 100 bytes for each segment, which are at most
// Size/SegmentBytes + 1 and those of earlier processes that are not committed.
//
// Append and Next are for one goroutine; all else is for any. A goroutine of its
// own syncs; Close ends it.
package spool
