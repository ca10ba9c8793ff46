// Package sink says what a sink is: something that workers give frames or
// records to, and that keeps of them what it wants. Each sink is a directory
// below this one; they meet the workers in internal/pipeline and do not know
// one another. The package owns no memory and starts no goroutine.
package sink

import (
	"context"

	"github.com/periscope-collector/periscope/packet"
)

// A Sink is what every sink is: it also takes [Frames], or [Flows], or both.
//
// Worker numbers are 0 to the number of workers it was made for; calls for
// different workers may run at once, those for one worker may not.
type Sink interface {
	// Mark is called by every worker once for every batch, after what the
	// worker has to offer of that batch, even if that is nothing. It promises
	// that the worker offers no frame whose Order is below mark from now on.
	// now is the clock in nanoseconds since 1970 UTC, as in packet.Batch. Live
	// an idle worker calls it too, every 100 ms or more often, so that what it
	// offered does not stay behind. In replay every worker sees every batch,
	// so that the records between two marks are of the same batch for all.
	Mark(worker int, mark, now int64)

	// Close flushes what was offered and completes what was begun, until ctx
	// is done. It is called once, after every other call but Ledger has
	// returned.
	Close(ctx context.Context) error

	// Ledger returns the account as of one moment. Any goroutine may call it
	// at any time, after Close too.
	Ledger() Ledger
}

// Frames is a sink of frames.
type Frames interface {
	Sink

	// Offer gives worker's frame to the sink. The frame and its bytes are
	// valid during the call only; the sink copies what it keeps. Offer does
	// not wait: a sink without room drops its copy and counts it. Replay is
	// the exception, where a full sink waits and loses nothing.
	// Frame.Session is not nil.
	Offer(worker int, f *packet.Frame)
}

// Flows is a sink of flow records.
type Flows interface {
	Sink

	// Flow gives a record to the sink, which copies it. Like Offer it waits in
	// replay only, and after Settle. Between two marks a worker's records come
	// in the order of their shards.
	Flow(worker int, r *packet.Flow)

	// Cut says that the worker has given every record of an interval.
	Cut(worker int, c packet.Cut)

	// Settle says that the traffic has ended. The records that are left come
	// now, in order and all as worker 0's, and since nothing is lost by waiting
	// a full sink waits, until ctx is done.
	Settle(ctx context.Context)
}

// A Ledger is the balanced account of what a sink was offered, in frames or in
// records as the sink says. Each term is counted on its own; a difference
// between the sides is a bug.
type Ledger struct {
	Offered uint64
	Stored  uint64
	Pending uint64
	Dropped [packet.NumDrops]uint64

	// Late counts, beside the account, what was stored or dropped out of
	// order because it came too late.
	Late uint64
}

// Imbalance returns offered minus stored, pending and dropped. It is 0.
func (l *Ledger) Imbalance() int64 {
	sum := l.Stored + l.Pending
	for _, n := range l.Dropped {
		sum += n
	}
	return int64(l.Offered - sum)
}
