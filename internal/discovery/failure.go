package discovery

import (
	"time"

	"github.com/periscope-collector/periscope/internal/backoff"
)

// A failure is what the last call of a kind said, and when to try again.
type failure struct {
	backoff.Pause
	err error
}

// result takes down how a call went.
func (f *failure) result(err error, now time.Time) {
	if f.err = err; err == nil {
		f.Pause = backoff.Pause{}
	} else {
		f.Extend(now, failShortest, failLongest)
	}
}
