package splunk

import (
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
	"github.com/periscope-collector/periscope/sink/spool"
)

// made is the encoder's part of the account, in events. What the lanes took they
// count themselves.
type made struct {
	reports atomic.Uint64 // ledger events, which the encoder makes by itself
	dropped [packet.NumDrops]atomic.Uint64
}

// An encoder makes events of records and puts them into lanes.
type encoder struct {
	s       *Sink
	event   []byte
	uid     []byte
	used    int64     // bytes of all lanes, at the most
	looked  int       // appends since used was counted
	counted time.Time // when it was
	report  time.Time // when the ledger is due
	budget  *budget
}

// The spool's size is counted anew after lookEvery events that were appended, for
// less is committed meanwhile, and when there is no room for one, unless that was
// less than lookAgain ago: with 5,000 batches out it takes 50 us.
const (
	lookEvery = 256
	lookAgain = 10 * time.Millisecond
)

func newEncoder(s *Sink) *encoder {
	e := &encoder{s: s}
	e.budget = newBudget(e)
	now := s.cfg.now()
	e.report = now.Truncate(s.cfg.reportEvery).Add(s.cfg.reportEvery)
	e.count()
	return e
}

// run takes records until the queue is closed and empty.
func (e *encoder) run() {
	defer close(e.s.encoded)
	tick := time.NewTicker(min(time.Second, e.s.cfg.reportEvery))
	defer tick.Stop()
	e.s.queue.Hold(func(r *packet.Flow) bool { return r.Session.Awaited() })
	var frames <-chan struct{}
	if e.s.frames != nil {
		frames = e.s.frames.queue.Ready()
		e.s.frames.queue.Hold((*record.Frame).Awaited)
	}
	for end := false; !end; {
		select {
		case <-e.s.queue.Ready():
		case <-frames:
		case <-tick.C:
		}
		end = e.s.queue.Drain(e.flow)
		if e.s.frames != nil {
			end = e.s.frames.queue.Drain(e.frame) && end
		}
		now := e.s.cfg.now()
		e.budget.tick(now, end)
		if end || due(now, e.report, e.s.cfg.reportEvery) {
			e.report = now.Truncate(e.s.cfg.reportEvery).Add(e.s.cfg.reportEvery)
			e.ledger(now)
		}
	}
}

// due reports whether the time of what comes so often has come. It has too when
// the clock was set back, which would put it off for as long.
func due(now, at time.Time, every time.Duration) bool {
	return !now.Before(at) || at.Sub(now) > every
}

// flow makes the events of a record, with what is known of its session by now.
func (e *encoder) flow(r *packet.Flow) {
	r.Session = r.Session.Identified()
	if e.s.cfg.Flow && !e.budget.holds(flowKind, r) {
		e.appendFlow(r)
	}
	if e.s.cfg.VPCFlow && !e.budget.holds(vpcFlowKind, r) {
		e.appendVPCFlow(r)
	}
}

func (e *encoder) appendFlow(r *packet.Flow) {
	l := e.s.lane[flowKind]
	e.event = e.s.events.AppendFlow(e.event[:0], r, e.next(l))
	e.put(flowKind, l)
}

func (e *encoder) appendVPCFlow(r *packet.Flow) {
	l := e.s.lane[vpcFlowKind]
	for side := range r.Side {
		if r.Side[side].Packets > 0 {
			e.event = e.s.events.AppendVPCFlow(e.event[:0], r, side, e.next(l))
			e.put(vpcFlowKind, l)
		}
	}
}

// ledger makes the event of the ledger.
func (e *encoder) ledger(now time.Time) {
	l := e.s.lane[ledgerKind]
	if l == nil {
		return
	}
	report := e.s.cfg.Report()
	e.event = e.s.events.AppendLedger(e.event[:0], now.UnixNano(), report, e.next(l))
	if len(e.event) == 0 {
		return
	}
	e.s.made.reports.Add(1)
	e.put(ledgerKind, l)
}

// next returns the event_uid of the event that the lane gets next.
func (e *encoder) next(l *lane) []byte {
	at := l.spool.Next()
	e.uid = append(e.uid[:0], l.id...)
	e.uid = append(strconv.AppendUint(e.uid, at.Segment, 16), '-')
	e.uid = strconv.AppendUint(e.uid, uint64(at.Offset), 16)
	return e.uid
}

// put appends the event to a lane, or drops it.
func (e *encoder) put(k kind, l *lane) {
	n := len(e.event)
	if !e.budget.takes(k, n) {
		e.drop(packet.DropBudget)
		return
	}
	for !e.fits(k, n) {
		if !e.waits() {
			e.drop(packet.DropSpoolFull)
			e.s.warn("the spool is full, events are dropped", "type", kinds[k].name, "size", e.s.cfg.Size)
			return
		}
	}
	err := l.spool.Append(e.event)
	for errors.Is(err, spool.ErrFull) && e.waits() {
		err = l.spool.Append(e.event)
	}
	if err != nil {
		e.drop(spool.Reason(err))
		e.s.warn("events are not kept in the spool, and dropped", "type", kinds[k].name, "error", err)
		return
	}
	e.used += int64(n + spool.Overhead)
	if l.waiting += n; l.waiting >= batchBytes {
		l.waiting = 0
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
}

func (e *encoder) drop(reason packet.Drop) { e.s.made.dropped[reason].Add(1) }

// fits reports whether the spool has room for an event of a kind.
func (e *encoder) fits(k kind, n int) bool {
	most := e.s.cfg.Size / 16 * kinds[k].share
	room := e.used+int64(n+spool.Overhead) <= most
	if !room && !e.s.cfg.Replay && e.s.cfg.now().Sub(e.counted).Abs() < lookAgain {
		return false
	}
	if e.looked++; !room || e.looked >= lookEvery {
		e.count()
	}
	return e.used+int64(n+spool.Overhead) <= most
}

// count counts what the spool holds.
func (e *encoder) count() {
	e.used, e.looked, e.counted = 0, 0, e.s.cfg.now()
	for _, l := range e.s.lanes {
		e.used += l.spool.Stats().Bytes
	}
}

// waits waits for room, in a replay. It reports false when nobody waits any more.
func (e *encoder) waits() bool {
	if !e.s.cfg.Replay {
		return false
	}
	again := time.NewTimer(time.Second) // events expire without a word
	defer again.Stop()
	select {
	case <-e.s.settled:
		return true
	case <-again.C:
		return true
	case <-e.s.interrupt:
		return false
	}
}
