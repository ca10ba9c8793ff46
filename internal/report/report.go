// Package report says two things of a replay, as text: what VPC Flow Logs leave
// out, and what other mirror filters would have mirrored.
//
// A [Report] is a sink of flow records, which it sums up by class: the blind
// spots. Nothing is lost, and its result does not depend on the number of
// workers. It owns the records on their way, up to 8 MiB, and for each of 14
// classes at most 8,192 pairs of addresses of some 130 bytes: 15 MB in all. One
// goroutine of its own sums up.
//
// A [Simulation] is shown frames, and counts by rule and by session.
//
// It is not a sink for live traffic, and keeps no record.
package report

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink"
	"github.com/periscope-collector/periscope/sink/queue"
)

var _ sink.Flows = (*Report)(nil)

// queueBytes bounds the records on their way: some 28,000 of 297 bytes.
const queueBytes = 8 << 20

// A Report is the sums of the records it was given. Once it is closed, Write
// prints them.
type Report struct {
	queue  *queue.Queue[packet.Flow]
	stored atomic.Uint64
	done   chan struct{}

	classes [packet.NumClasses]class // the goroutine's, until done
}

// New returns an empty report and starts its goroutine, which Close ends.
func New(workers int) *Report {
	r := &Report{
		queue: queue.New[packet.Flow](queue.Config{Workers: workers, Bytes: queueBytes, Replay: true}),
		done:  make(chan struct{}),
	}
	go r.run()
	return r
}

// run sums up until the queue is closed and empty.
func (r *Report) run() {
	defer close(r.done)
	end := false
	for !end {
		<-r.queue.Ready()
		var n uint64
		end = r.queue.Drain(func(f *packet.Flow) {
			r.classes[f.Class].add(f)
			n++
		})
		r.stored.Add(n)
	}
}

// Flow gives a record to the report. It waits for room.
func (r *Report) Flow(worker int, f *packet.Flow) { r.queue.Put(worker, f.Shard, f) }

// Mark ends a worker's batch.
func (r *Report) Mark(worker int, _, now int64) { r.queue.Mark(worker, now) }

// Cut does nothing: a report is of all intervals.
func (r *Report) Cut(int, packet.Cut) {}

// Settle says that what is left comes as worker 0's.
func (r *Report) Settle(ctx context.Context) { r.queue.Settle(ctx) }

// Close waits until every record is summed up, or ctx is done.
func (r *Report) Close(ctx context.Context) error {
	r.queue.Close()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("report: not every flow record is summed up: %w", context.Cause(ctx))
	}
}

// Ledger returns the account in records. Stored means summed up.
func (r *Report) Ledger() sink.Ledger {
	stored := r.stored.Load() // first, see queue.Counts
	c := r.queue.Counts()
	l := sink.Ledger{Offered: c.Offered, Stored: stored, Pending: c.In - stored}
	l.Dropped[packet.DropQueueFull] = c.Dropped
	return l
}
