package capture

import (
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// A waiter is a source whose Next is next.
type waiter interface {
	// poll is that of polled.
	poll(now int64) (*packet.Batch, error)

	// wait waits until there may be datagrams, at most idleWait.
	wait() error

	// lendEmpty lends a batch without datagrams, after a poll at now that
	// found none.
	lendEmpty(now int64) *packet.Batch
}

// next lends the next batch. It waits once; what is empty then only brings the
// clock.
func next(s waiter) (*packet.Batch, error) {
	for waited := false; ; waited = true {
		now := time.Now().UnixNano()
		b, err := s.poll(now)
		if b != nil || err != nil {
			return b, err
		}
		if waited {
			return s.lendEmpty(now), nil
		}
		if err := s.wait(); err != nil {
			return nil, err
		}
	}
}
