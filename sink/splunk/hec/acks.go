package hec

import (
	"errors"
	"time"
)

// Times and bounds of acknowledgements. Splunk keeps the last part of a batch
// back for about two minutes, and forgets a channel after ten without a query.
const (
	ackFirst   = 2 * time.Second // until the first query, and after one that brought news
	ackEvery   = 10 * time.Second
	ackLimit   = 30 * time.Second // for the answer to a query
	ackTimeout = 5 * time.Minute
	ackIDs     = 1000 // in a query
	maxPending = 10_000
)

// maxLosses is how many channels may be lost in a row without an acknowledgement
// between. More are no restarts of servers: a balancer spreads the requests over
// several, each of which counts by itself, and to send again would never end.
const maxLosses = 8

// A channel is what ackIds are counted in: that of one endpoint and token. The
// mu of the endpoint holds it.
type channel struct {
	id    string // a random GUID
	token string
	top   int64              // the highest ackId that came, -1 for none
	ids   map[int64]struct{} // those that are awaited
	lost  bool               // the server has forgotten it, and what is awaited there
}

// A waiting is a request whose acknowledgement is awaited. There are at most
// 10,000 for an endpoint, of about 100 bytes beside what Acked holds.
type waiting struct {
	ch     *channel
	id     int64
	events int
	since  time.Time
	acked  func(ok bool)
	told   bool // it is indexed
}

// channel returns that of a token, and the highest ackId that came in it.
func (e *endpoint) channel(token string) (*channel, int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	ch := e.channels[token]
	if ch == nil {
		if len(e.channels) >= maxTokens { // of tokens that are gone
			clear(e.channels)
		}
		ch = &channel{id: newChannel(), token: token, top: -1, ids: make(map[int64]struct{})}
		e.channels[token] = ch
	}
	return ch, ch.top
}

// leave makes the next request with the token begin a new channel. The caller
// holds e.mu.
func (e *endpoint) leave(ch *channel) {
	if e.channels[ch.token] == ch {
		delete(e.channels, ch.token)
	}
}

// expect takes in the ackId of a request that began when floor was the highest.
// One that is not above it, or is awaited already, was counted by a server that
// knows nothing of those before: the channel is lost. A new cookie is no such
// sign; some balancers send one with every answer.
func (e *endpoint) expect(w *waiting, floor int64) (begin bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, twice := w.ch.ids[w.id]
	w.ch.ids[w.id] = struct{}{}
	w.ch.top = max(w.ch.top, w.id)
	e.waiting = append(e.waiting, w)
	e.promised = true
	if w.id <= floor || twice || w.ch.lost {
		e.lose(w.ch)
	}
	begin, e.polled = !e.polled, true
	return begin
}

// lose gives up what is awaited in a channel. The caller holds e.mu.
func (e *endpoint) lose(ch *channel) {
	if !ch.lost {
		e.losses++
	}
	ch.lost = true
	e.leave(ch)
	select {
	case e.news <- struct{}{}:
	default: // is there already
	}
}

// A sweep is what was decided about requests that waited.
type sweep struct {
	indexed, failed []*waiting
	timeouts        int       // of those that failed
	next            time.Time // when the oldest of the others fails, zero without one
}

// sweep takes out what is decided. If nothing is left nobody polls any more.
func (e *endpoint) sweep(now time.Time) (s sweep) {
	e.mu.Lock()
	defer e.mu.Unlock()
	left := e.waiting[:0]
	for _, w := range e.waiting {
		switch {
		case w.told:
			s.indexed = append(s.indexed, w)
		case w.ch.lost:
			s.failed = append(s.failed, w)
		case now.Sub(w.since) >= ackTimeout:
			e.leave(w.ch)
			s.failed = append(s.failed, w)
			s.timeouts++
		default:
			left = append(left, w)
			continue
		}
		delete(w.ch.ids, w.id)
	}
	clear(e.waiting[len(left):])
	e.waiting = left
	if len(s.indexed) > 0 {
		e.losses = 0
	}
	if e.polled = len(left) > 0; e.polled {
		s.next = left[0].since.Add(ackTimeout)
	}
	return s
}

// await takes in a request that e has taken when floor was the highest ackId of
// ch: it is awaited, delivered, or refused for want of an acknowledgement.
func (c *Client) await(e *endpoint, ch *channel, floor int64, r Request, o *Outcome) {
	if c.ack == AckOff || r.Acked == nil || c.ack == AckAuto && (o.AckID < 0 || e.isAckless()) {
		return
	}
	if o.AckID < 0 {
		o.Class, o.DupRisk = HoldConfig, true
		o.Err = errors.New("taken without an acknowledgement, which is required; turn on useACK for the token, or set ack to auto")
		return
	}
	o.Class = AwaitAck
	w := &waiting{ch: ch, id: o.AckID, events: len(r.Events), since: time.Now(), acked: r.Acked}
	if e.expect(w, floor) {
		c.tasks.Go(func() { c.poll(e) })
	}
}

func (e *endpoint) isAckless() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ackless
}

// scattered says whether so many channels were lost that no acknowledgement is to
// be expected.
func (e *endpoint) scattered() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.losses > maxLosses
}

// acknowledged says whether what e takes is safe with an acknowledgement only.
func (c *Client) acknowledged(e *endpoint) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return c.ack == AckRequire || e.promised && !e.ackless
}

// unsure takes in that the events before Invalid were taken, and that nobody will
// know whether they were indexed.
func (o *Outcome) unsure() {
	o.DupRisk = true
	if o.Class == Retry {
		o.Invalid = -1
	}
}

// poll asks for the acknowledgements of an endpoint until none is awaited.
func (c *Client) poll(e *endpoint) {
	every := ackFirst
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-e.news:
			if e.scattered() {
				c.ackless(e, "splunk endpoint forgets what it is to acknowledge",
					"have the balancer keep a client at one server by a cookie, or set ack to off")
			}
		case <-timer.C:
			c.query(e)
		}
		now := time.Now()
		s := e.sweep(now)
		c.tell(e, s, now)
		if s.next.IsZero() {
			return
		}
		if every = ackEvery; len(s.indexed) > 0 {
			every = ackFirst
		}
		timer.Reset(min(every, s.next.Sub(now)))
	}
}

// tell calls what waits, and counts.
func (c *Client) tell(e *endpoint, s sweep, now time.Time) {
	for _, w := range s.indexed {
		w.acked(true)
	}
	for _, w := range s.failed {
		w.acked(false)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e.gate.pending -= len(s.indexed) + len(s.failed)
	e.counts.acks += uint64(len(s.indexed))
	for _, w := range s.indexed {
		e.counts.ackTime += now.Sub(w.since)
	}
	for _, w := range s.failed {
		e.counts.dupRisk += uint64(w.events)
	}
	e.counts.ackTimeouts += uint64(s.timeouts)
	c.wake()
}
