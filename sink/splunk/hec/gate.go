package hec

import (
	"net/http"
	"time"
)

// A hold is why an endpoint is not asked for a while.
type hold uint8

const (
	free    hold = iota
	backoff      // the last request failed
	crowded      // the endpoint asks for less
	broken       // requests fail one after the other; the breaker is open
	tokenless
	misconfigured
)

// holds says for how long. Each time in a row is twice the one before; with
// jitter it is any part of that, so that collectors do not come back at once.
var holds = [...]struct {
	name     string
	min, max time.Duration
	jitter   bool
	warn     string // of the log line when it begins, empty for none
}{
	free:          {},
	backoff:       {"backoff", 500 * time.Millisecond, 30 * time.Second, true, ""},
	crowded:       {"backoff", 2 * time.Second, 120 * time.Second, true, ""},
	broken:        {"breaker", 5 * time.Second, 60 * time.Second, false, "splunk endpoint is left out for a while"},
	tokenless:     {"token", 30 * time.Second, 5 * time.Minute, false, "splunk endpoint refuses every token, its events are kept"},
	misconfigured: {"config", 30 * time.Second, 5 * time.Minute, false, "splunk endpoint is not set up for this, its events are kept"},
}

// breakAfter requests that fail in a row open the breaker.
const breakAfter = 3

// A gate says whether an endpoint may be asked now. Once the time of its hold has
// passed it lets one request through, the trial, which ends the hold or makes it
// longer; a breaker asks for the endpoint's health before that.
//
// A request that began before the last change to the worse says nothing about it,
// which is what epoch is for.
type gate struct {
	window
	inflight int
	pending  int // acknowledgements that are awaited
	epoch    int

	hold     hold
	wait     time.Duration // of the hold, before jitter
	until    time.Time
	tokens   int // version of the token file that was refused
	failures int // in a row
	trial    bool
	probe    probe
}

type probe uint8

const (
	unasked probe = iota
	asking
	healthy
)

// A pass is a place that a gate gave.
type pass struct {
	epoch int
	trial bool
}

// over says whether the time of the hold has passed, or other tokens came.
func (g *gate) over(now time.Time, tokens int) bool {
	return g.hold == free || !now.Before(g.until) || g.hold == tokenless && tokens != g.tokens
}

// passes says whether take may be called.
func (g *gate) passes(now time.Time, tokens int) bool {
	switch {
	case g.full():
		return false
	case g.hold == free:
		return g.inflight < g.size()
	case g.hold == broken && g.probe != healthy:
		return false
	}
	return !g.trial && g.over(now, tokens)
}

// full says whether nothing more goes out before something comes back.
func (g *gate) full() bool {
	return g.inflight >= g.most || g.inflight+g.pending >= maxPending
}

// probeDue says whether it is time to ask for the endpoint's health.
func (g *gate) probeDue(now time.Time) bool {
	return g.hold == broken && g.probe == unasked && !now.Before(g.until)
}

// due returns when the gate passes by itself, zero if it waits for an answer.
func (g *gate) due() time.Time {
	if g.hold == free || g.trial || g.probe != unasked || g.full() {
		return time.Time{}
	}
	return g.until
}

func (g *gate) take() pass {
	g.inflight++
	g.trial = g.hold != free
	return pass{g.epoch, g.trial}
}

// give takes a place back of which nothing was learnt.
func (g *gate) give(p pass) {
	g.inflight--
	if p.trial {
		g.trial = false
	}
}

// settle takes a place back with the outcome of its request, which was refused
// with that version of the tokens.
func (g *gate) settle(p pass, o *Outcome, tokens int, now time.Time, jitter func(time.Duration) time.Duration) {
	g.give(p)
	if p.epoch != g.epoch {
		return
	}
	if g.note(o) {
		g.epoch++
	}
	down := o.Class == Retry && (o.HTTP == 0 || o.HTTP == http.StatusNotFound || o.HTTP >= 500 && o.Code != codeBusy)
	if g.failures++; !down {
		g.failures = 0
	}
	switch {
	case o.Class == HoldToken:
		g.tokens = tokens
		g.pause(tokenless, o.RetryAfter, now, jitter)
	case o.Class == HoldConfig:
		g.pause(misconfigured, o.RetryAfter, now, jitter)
	case o.Class != Retry:
		g.hold, g.wait, g.probe = free, 0, unasked
	case g.failures >= breakAfter:
		g.pause(broken, o.RetryAfter, now, jitter)
	case o.HTTP == http.StatusTooManyRequests:
		g.pause(crowded, o.RetryAfter, now, jitter)
	default:
		g.pause(backoff, o.RetryAfter, now, jitter)
	}
}

// pause begins a hold, or the next one in a row, of no less than after.
func (g *gate) pause(h hold, after time.Duration, now time.Time, jitter func(time.Duration) time.Duration) {
	kind := &holds[h]
	g.epoch++
	g.hold, g.probe = h, unasked
	g.wait = min(max(2*g.wait, kind.min), kind.max)
	wait := g.wait
	if kind.jitter {
		wait = jitter(wait)
	}
	g.until = now.Add(max(wait, after))
}

// probed takes in what the endpoint said of its health.
func (g *gate) probed(ok bool, now time.Time) {
	switch {
	case g.probe != asking:
	case ok:
		g.probe = healthy
	default:
		g.pause(broken, 0, now, nil)
	}
}
