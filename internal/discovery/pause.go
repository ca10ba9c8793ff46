package discovery

import "time"

// A pause is how long not to ask again: since something failed, or was not
// there. It doubles each time, up to longest. The zero value does not pause.
type pause struct {
	until time.Time
	delay time.Duration
}

// due reports whether it may be asked.
func (p *pause) due(now time.Time) bool { return !now.Before(p.until) }

// extend begins a pause, twice as long as the one before.
func (p *pause) extend(now time.Time, shortest, longest time.Duration) {
	p.delay = min(max(2*p.delay, shortest), longest)
	p.until = now.Add(p.delay)
}

// A failure is what the last call of a kind said, and when to try again.
type failure struct {
	pause
	err error
}

// result takes down how a call went.
func (f *failure) result(err error, now time.Time) {
	if f.err = err; err == nil {
		f.pause = pause{}
	} else {
		f.extend(now, failShortest, failLongest)
	}
}
