// Package backoff says how long not to try again what failed, or was not there. It
// keeps nothing and waits for nothing: a Pause is a value of its owner, who tells it
// the time and guards it.
package backoff

import "time"

// A Pause is how long not to try again. It doubles each time. The zero value does
// not pause; who succeeds goes back to it.
type Pause struct {
	Until time.Time     // when it is over
	Delay time.Duration // how long it is
}

// Due reports whether the pause is over.
func (p *Pause) Due(now time.Time) bool { return !now.Before(p.Until) }

// Extend begins a pause, twice as long as the one before, but no shorter than
// shortest and no longer than longest.
func (p *Pause) Extend(now time.Time, shortest, longest time.Duration) {
	p.Delay = min(max(2*p.Delay, shortest), longest)
	p.Until = now.Add(p.Delay)
}
