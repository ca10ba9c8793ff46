package splunk

import (
	"bytes"
	"context"
	"sync"

	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/spool"
)

// A batch of which nothing is taken is kept, for it is not its events that are
// wrong: when hopeless of them were found bad, or mostHalved runs were halved,
// which are all of seven levels. A batch with 16 bad events has a good run at the sixth
// level. So a batch that is refused whole takes 143 requests at most, and where no
// batch was refused before, all 16 that are out 2,288.
const (
	hopeless   = 16
	mostHalved = 1<<7 - 1
)

// A run is events of a batch, from one to before another.
type run struct{ from, to int }

// A refusal is an event that was refused for good.
type refusal struct {
	event int
	code  int // of the answer, -1 without one
	text  string
	bytes []byte // of the event
}

// A delivery is a batch on its way. Several answers may come for it: its runs are
// sent one after another, and acknowledged in any order.
type delivery struct {
	sink  *Sink
	lane  *lane
	batch *spool.Batch

	todo    []run // the goroutine's, the first one goes first
	taken   bool  // the server took some of it
	halved  int   // runs
	refused []refusal

	mu     sync.Mutex
	open   int // the goroutine, and each run that is to be acknowledged
	failed bool
}

// deliver sees a batch of an epoch to its end, or gives it back to the spool. It
// has a place and, at first, a slot.
func (s *Sink) deliver(ctx context.Context, l *lane, b *spool.Batch, epoch int, slot *hec.Slot) {
	d := &delivery{sink: s, lane: l, batch: b, open: 1, todo: []run{{0, len(b.Events)}}}
	for len(d.todo) > 0 {
		if slot == nil {
			var err error
			if slot, err = s.client.Acquire(ctx); err != nil {
				d.done(false)
				return
			}
		}
		r := d.todo[0]
		d.todo = d.todo[1:]
		o := d.send(ctx, slot, r)
		slot = nil
		if why := d.take(r, o); why != "" {
			l.pace.hold(epoch, s.cfg.holdLeast, why)
			s.warn("events are refused and kept; they are tried again", "lane", l.name, "why", why, "code", o.Code, "error", o.Err)
			d.done(false)
			return
		}
	}
	l.pace.passed(epoch)
	d.park()
	d.done(true)
}

// send sends a run.
func (d *delivery) send(ctx context.Context, slot *hec.Slot, r run) hec.Outcome {
	d.mu.Lock()
	d.open++ // Acked may come before Send returns
	d.mu.Unlock()
	o := slot.Send(ctx, hec.Request{Events: d.batch.Events[r.from:r.to], Acked: d.done})
	if o.Class != hec.AwaitAck {
		d.mu.Lock()
		d.open--
		d.mu.Unlock()
	}
	return o
}

// take takes in what came of a run. What is left of it is to be sent. It returns
// why the lane is to be held, or "".
func (d *delivery) take(r run, o hec.Outcome) (hold string) {
	switch o.Class {
	case hec.Delivered, hec.AwaitAck:
		d.taken = true
	case hec.HoldIndex:
		return "index"
	case hec.Split:
		if r.to-r.from > 1 && !d.believes(o.Invalid) {
			return d.halve(r)
		}
		return d.refuse(r, max(o.Invalid, 0), o)
	case hec.TooLarge:
		if r.to-r.from > 1 {
			d.lane.pace.tooLarge(size(d.batch.Events[r.from:r.to]))
			return d.halve(r)
		}
		return d.refuse(r, 0, o)
	default:
		if o.Invalid > 0 {
			d.taken = true
			r.from += o.Invalid
		}
		d.push(r)
	}
	return ""
}

func (d *delivery) push(r run) {
	if r.from < r.to {
		d.todo = append(d.todo, r)
	}
}

// halve sends the halves of a run behind the other runs, so that good ones are
// taken before single events are refused. It returns why the lane is to be held.
func (d *delivery) halve(r run) (hold string) {
	if d.halved++; d.halved >= mostHalved && !d.taken {
		return "refused"
	}
	middle := (r.from + r.to) / 2
	d.push(run{r.from, middle})
	d.push(run{middle, r.to})
	return ""
}

// believes reports whether the event that the server names, -1 for none, is the
// bad one. A server that finds every event bad names the first one each time:
// halving shows whether it takes any.
func (d *delivery) believes(invalid int) bool {
	return invalid > 0 || invalid == 0 && (d.taken || len(d.refused) < hopeless/2)
}

// refuse leaves out the event that is n behind the beginning of a run. Those
// before it were taken, or are sent again if that is not certain. When one event
// after the other is refused by itself it is not they that are wrong: the batch is
// kept.
func (d *delivery) refuse(r run, n int, o hec.Outcome) (hold string) {
	bad := r.from + n
	d.taken = d.taken || o.Invalid > 0
	d.refused = append(d.refused, refusal{event: bad, code: o.Code, text: text(o)})
	if len(d.refused) >= hopeless && !d.taken {
		return "refused"
	}
	if o.DupRisk {
		d.push(run{r.from, bad})
	}
	d.push(run{bad + 1, r.to})
	return ""
}

// text says why an event was refused, in Splunk's words if it has some.
func text(o hec.Outcome) string {
	if t := hec.CodeText(o.Code); t != "" {
		return t
	}
	if o.Err != nil {
		return o.Err.Error()
	}
	return ""
}

// park keeps what is refused, and gives up the memory of the rest, while
// acknowledgements are awaited.
func (d *delivery) park() {
	for i := range d.refused {
		r := &d.refused[i]
		r.bytes = bytes.Clone(d.batch.Events[r.event])
	}
	d.lane.spool.Park(d.batch)
}

// done takes in the end of the goroutine or of a run. The last one ends the
// delivery: if all went well the batch is committed, else it is read again.
func (d *delivery) done(ok bool) {
	d.mu.Lock()
	d.open--
	d.failed = d.failed || !ok
	last, failed := d.open == 0, d.failed
	d.mu.Unlock()
	switch {
	case !last:
	case failed:
		d.lane.spool.Return(d.batch)
	default:
		d.sink.quarantine.add(d.lane.name, d.refused)
		d.lane.settle(d.batch, len(d.refused))
		d.sink.signal()
	}
}
