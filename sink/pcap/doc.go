// Package pcap keeps frames in rotating capture files, one series for each
// mirror session, or for each service, or for all:
//
//	DIR/<name>/<name>_<UTC of the first frame>_<sequence>.pcap
//
// When a session becomes another one, of which more is known, the file that is
// open goes on and has the new name from then on.
//
// Workers copy frames, as complete pcap records, into chunks of their own. One
// writer goroutine merges the chunks of all workers in the order of
// packet.Frame.Order and hands them to the kernel from where they lie, with
// writev. A second goroutine completes files (sync, several at a time; rename),
// a third removes old ones, a fourth has the disk begin with long files while
// they are written, a fifth, where asked for, syncs those. None of them can hold
// a worker up.
//
// Memory: Config.Buffer bytes of chunks, taken by Open, in one pool but for two
// chunks that are each worker's own. A chunk belongs to a worker while it is
// filled, between batches to whoever takes it first, to the writer from the
// hand-over on, and then to the pool. Files that wait for completion, and those
// whose completion failed, are bounded by count.
//
// Durability: a frame counts as stored when the kernel has it, which is at most
// a few hundred milliseconds after it was offered, so that it survives the end
// of the process. A file without the suffix .partial is whole and was synced
// before it got its name. Open finishes what an earlier process left.
//
// The package does not read captures, but for the walk over records that
// finishing a file takes.
package pcap
