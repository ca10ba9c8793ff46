package flow

import (
	"time"

	"github.com/periscope-collector/periscope/packet"
)

const (
	tick      = int64(50 * time.Millisecond) // of the clock, between looks at what is due
	maxSweep  = int64(3 * time.Second)       // to write the records of an interval in
	purgeSpan = int64(500 * time.Millisecond)

	// maxExpired bounds the flows that one shard forgets at one tick: 330,000
	// a second. What is left has to wait.
	maxExpired = 1 << 14

	// maxGap is the longest run of intervals without a batch that is cut
	// nevertheless.
	maxGap = 60
)

// A sweep goes through the entries of all shards of a worker, spread evenly over
// a span of the clock, so that a million records do not come at once.
type sweep struct {
	running bool
	begin   int64
	first   uint32 // the first epoch to cut
}

// A step is what a move of the clock brings.
type step struct {
	due         bool
	now         int64
	passed      int64  // µs since the step before
	epoch       uint32 // the interval that now is in
	again       bool   // the sweep begins anew
	sweep, span int64  // how far the sweep is
	purge       int64  // how far the purge is, in purgeSpan
}

// begin sets the clock by the first batch. Every worker sees the same times in
// it, be its own frames among them or not.
func (w *worker) begin(b *packet.Batch) {
	if w.nextTick != 0 {
		return
	}
	first := sane(b.Now)
	for i := range b.Datagrams {
		first = min(first, sane(b.Datagrams[i].Time))
	}
	w.clock, w.epoch, w.nextTick = first, w.epochOf(first), first+tick
}

// step moves the clock. It does not go back.
func (w *worker) step(now int64) step {
	before := w.nextTick - tick
	w.clock = max(w.clock, sane(now))
	if w.clock < w.nextTick {
		return step{}
	}
	w.nextTick = w.clock + tick
	st := step{
		due: true, now: w.clock, passed: (w.clock - before) / 1000, epoch: w.epochOf(w.clock),
		span: min(maxSweep, int64(w.config.Interval)/4),
	}
	if st.epoch > w.epoch {
		// What was not swept in time is swept now.
		st.again = w.sweep.running || st.epoch > w.epoch+1
		if !w.sweep.running {
			w.sweep.first = w.epoch
		}
		w.sweep.running, w.sweep.begin = true, w.begins(st.epoch)
	}
	if w.sweep.running {
		st.sweep = w.clock - w.sweep.begin
	}
	if st.again {
		st.sweep = st.span
	}
	if !w.purge.running && w.clock >= w.nextEnd {
		w.purge = sweep{running: w.anyOver(), begin: w.clock}
		w.nextEnd = w.clock + purgeSpan
	}
	if w.purge.running {
		st.purge = w.clock - w.purge.begin
	}
	return st
}

// anyOver reports whether there are flows of sessions that are over.
func (w *worker) anyOver() (over bool) {
	for _, s := range w.shards {
		over = s.origins.look() || over
	}
	return over
}

// finish says what the shards have brought to an end.
func (w *worker) finish(st *step) {
	w.epoch = st.epoch
	if st.purge >= purgeSpan {
		w.purge.running = false
	}
	if w.sweep.running && st.sweep >= st.span {
		w.cut()
	}
}

// cut says that the sweep is over.
func (w *worker) cut() {
	w.sweep.running = false
	for epoch := w.sweep.first; epoch < w.epoch; epoch++ {
		begin := w.begins(epoch)
		w.config.Cut(w.number, packet.Cut{Begin: begin, End: begin + int64(w.config.Interval)})
		if w.epoch-epoch > maxGap+1 {
			break
		}
	}
}

// close says that what was swept when the traffic ended is all there is.
func (w *worker) close() {
	if w.sweep.running {
		w.cut()
	}
}

// advance does what the clock brings for one shard.
func (s *shard) advance(st *step) {
	idle, grace := int64(s.worker.config.Idle), int64(s.worker.config.Grace)
	s.expire(single, idle, packet.FlowIdle, st)
	s.expire(conversation, idle, packet.FlowIdle, st)
	s.expire(closed, grace, packet.FlowClosed, st)
	if s.worker.sweep.running {
		s.sweep(st)
	}
	if s.worker.purge.running {
		s.purge(st)
	}
}

// expire forgets flows of a kind that had no packet for a time-out, from the old
// end of the ring on. One that had packets since it was put there goes to the
// young end; all are looked at once in half of the time-out, which is what
// credit counts.
func (s *shard) expire(k kind, timeout int64, why packet.FlowReason, st *step) {
	cost := timeout / 1000
	s.credit[k] = min(s.credit[k]+2*min(st.passed, cost)*int64(s.length[k]), cost*int64(s.length[k]))
	for range maxExpired {
		i := s.oldest(k)
		if i == 0 {
			return
		}
		e := &s.slab[i]
		if st.now-s.seen(e) >= timeout {
			s.remove(i, why, st.now)
			continue
		}
		if e.state&active == 0 || s.credit[k] < cost {
			return
		}
		s.credit[k] -= cost
		s.move(i, k)
	}
}

// part returns how many of the entries a sweep has to be through after a part
// of its span.
func (s *shard) part(elapsed, span int64) uint32 {
	if elapsed >= span {
		return s.used
	}
	return uint32(int64(s.used) * elapsed / span)
}

// sweep writes the records of intervals that are over.
func (s *shard) sweep(st *step) {
	if st.again {
		s.swept = 0
	}
	s.swept = max(s.swept, uint32(numKinds))
	for end := s.part(st.sweep, st.span); s.swept < end; s.swept++ {
		e := &s.slab[s.swept]
		if e.origin != 0 && e.state&open != 0 && e.epoch < st.epoch {
			s.write(s.swept, packet.FlowInterval, st.now)
		}
	}
	if st.sweep >= st.span {
		s.swept = 0
	}
}

// purge removes the flows of sessions that are over.
func (s *shard) purge(st *step) {
	s.purged = max(s.purged, uint32(numKinds))
	for end := s.part(st.purge, purgeSpan); s.purged < end; s.purged++ {
		e := &s.slab[s.purged]
		if e.origin != 0 && s.origins.at[e.origin].session.Over() {
			s.remove(s.purged, packet.FlowSession, st.now)
		}
	}
	if st.purge >= purgeSpan {
		s.purged = 0
	}
}

// close writes what is left.
func (s *shard) close() {
	for i := uint32(numKinds); i < s.used; i++ {
		if s.slab[i].origin != 0 {
			s.remove(i, packet.FlowShutdown, s.worker.clock)
		}
	}
}
