package hec

import "time"

// When an endpoint is left out, and for how long before it is probed.
const (
	breakAfter = 3
	minBreak   = 5 * time.Second
	maxBreak   = 60 * time.Second
)

// A breaker says whether an endpoint gets requests. The zero value is closed.
// After three failures in a row it opens; once its time has passed the endpoint
// is probed, and if that goes well gets one request, which closes the breaker
// or opens it for twice the time.
type breaker struct {
	state    breakerState
	failures int // in a row, while closed
	wait     time.Duration
	until    time.Time
}

type breakerState uint8

const (
	closed  breakerState = iota // every request passes
	open                        // none passes
	probing                     // none passes, a probe is out
	ready                       // one may pass
	trial                       // it is out
)

func (b *breaker) passes() bool { return b.state == closed || b.state == ready }

// due says whether it is time to probe.
func (b *breaker) due(now time.Time) bool { return b.state == open && !now.Before(b.until) }

// begin takes in that a request begins.
func (b *breaker) begin() {
	if b.state == ready {
		b.state = trial
	}
}

// abandon takes in a request that was given up.
func (b *breaker) abandon() {
	if b.state == trial {
		b.state = ready
	}
}

func (b *breaker) success() { *b = breaker{} }

// failure takes in a request that failed. One that began before the breaker
// opened changes nothing.
func (b *breaker) failure(now time.Time) {
	b.failures++
	if b.state == open || b.state == closed && b.failures < breakAfter {
		return
	}
	b.state = open
	b.wait = min(max(2*b.wait, minBreak), maxBreak)
	b.until = now.Add(b.wait)
}

// probed takes in how the probe went.
func (b *breaker) probed(ok bool, now time.Time) {
	switch {
	case b.state != probing:
	case ok:
		b.state = ready
	default:
		b.failure(now)
	}
}
