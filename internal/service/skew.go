package service

import (
	"slices"
	"sync"
	"time"
)

// A skew follows how unevenly the frames are spread over the workers: the share
// of the busiest one against an equal share, over the last full interval. The
// zero value is ready.
type skew struct {
	mu    sync.Mutex
	at    time.Time // when last was taken
	last  []uint64  // frames that each worker had finished
	ratio float64
}

const (
	// skewEvery is short enough to see a burst, and long enough that flows
	// average out.
	skewEvery = 10 * time.Second

	// skewLeast is how many frames a worker an interval must have had. Of fewer
	// the share says more about chance than about the flows.
	skewLeast = 100
)

// take looks at how many frames each worker has finished by now.
func (s *skew) take(now time.Time, finished []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.at.IsZero() && now.Sub(s.at) < skewEvery {
		return
	}
	if len(s.last) == len(finished) {
		s.ratio = unevenness(s.last, finished)
	}
	s.at, s.last = now, slices.Clone(finished)
}

func unevenness(before, after []uint64) float64 {
	var most, sum uint64
	for i := range after {
		n := after[i] - before[i]
		most = max(most, n)
		sum += n
	}
	workers := uint64(len(after))
	if sum < skewLeast*workers || sum == 0 {
		return 0
	}
	return float64(most*workers) / float64(sum)
}

// get returns 1 if all workers had as many frames in the last interval, up to
// their number if one had all, and 0 if there were too few to tell.
func (s *skew) get() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ratio
}
