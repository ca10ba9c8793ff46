package tap

import "time"

// A bucket bounds something that is taken, in units a second. The zero value
// bounds nothing.
type bucket struct {
	rate, most float64 // most is what may be taken at once
	left       float64
	at         time.Time
}

// newBucket returns a full bucket. It holds what comes in the given time, but at
// least a block of the ring, since that is how frames come.
func newBucket(rate float64, burst time.Duration) bucket {
	most := max(rate*burst.Seconds(), blockLen)
	return bucket{rate: rate, most: most, left: most}
}

// take takes n, and reports whether there was as much.
func (b *bucket) take(n int, now time.Time) bool {
	if b.rate == 0 {
		return true
	}
	if !b.at.IsZero() && now.After(b.at) {
		b.left = min(b.left+b.rate*now.Sub(b.at).Seconds(), b.most)
	}
	b.at = now
	if float64(n) > b.left {
		return false
	}
	b.left -= float64(n)
	return true
}

// An allowance is the share of a processor that may be used. The zero value bounds
// nothing.
type allowance struct {
	share float64
	saved time.Duration // processor time that may be used at once; negative is owed
	used  time.Duration
	at    time.Time
}

// maxSaved is what may be used at once: the share of a second.
const maxSaved = time.Second

// look takes what was used so far, and returns how long nothing may be: until
// what is owed has come in, at most a second.
func (a *allowance) look(used time.Duration, now time.Time) time.Duration {
	if a.share == 0 {
		return 0
	}
	most := time.Duration(a.share * float64(maxSaved))
	if a.at.IsZero() {
		a.saved, a.used, a.at = most, used, now
		return 0
	}
	a.saved += time.Duration(a.share*float64(now.Sub(a.at))) - (used - a.used)
	a.saved = min(max(a.saved, -most), most)
	a.used, a.at = used, now
	return time.Duration(max(float64(-a.saved)/a.share, 0))
}
