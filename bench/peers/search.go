package main

import (
	"math"
	"slices"
)

// An attempt is what came of sending at a rate.
type attempt struct {
	rate  float64 // packets a second that were really sent
	taken float64 // of these, not lost
	lost  bool
}

// A search looks for the highest rate without loss.
type search struct {
	// try sends at a rate in packets a second, 0 being as fast as possible; for
	// long if that decides, else for a look.
	try   func(rate float64, long bool) (attempt, error)
	steps int
}

// A found rate. sender says that the sender goes no faster; if it is not passed,
// no rate did, and this is the lowest that was tried.
type found struct {
	rate           float64
	sender, passed bool
}

const (
	maxSteps = 8
	// near is how far apart the highest rate that passed a look and the lowest
	// that did not may stay.
	near = 1.05
	// slight is the share of packets whose loss earns a rate a second look.
	slight = 0.01
)

// run searches from a rate on, 0 being as fast as possible. It brackets the rate
// by looks, and has it pass then, or a lower one; both are steps.
func (s *search) run(start float64) (found, error) {
	low, high := 0.0, math.Inf(1)
	sender := false
	for rate := start; s.steps < maxSteps-2 && high > near*low; s.steps++ {
		a, err := s.look(rate)
		if err != nil {
			return found{}, err
		}
		if a.lost {
			high = min(high, a.rate)
		} else {
			low = a.rate
		}
		// A sender that went faster before was only held up.
		if sender = !a.lost && math.IsInf(high, 1) && (rate == 0 || a.rate < 0.97*rate); sender {
			break
		}
		rate = between(low, high, a.taken)
	}
	if low == 0 {
		low = high / 2
	}
	return s.confirm(low, sender)
}

// between returns the rate to look at next, after a look of which so much was
// taken.
func between(low, high, taken float64) float64 {
	switch {
	case low == 0:
		return min(max(0.95*taken, high/4), high/1.15)
	case math.IsInf(high, 1):
		return 1.15 * low
	}
	return math.Sqrt(low * high)
}

// look tries a rate, and once more if it lost next to nothing.
func (s *search) look(rate float64) (attempt, error) {
	a, err := s.try(rate, false)
	if err != nil || !a.lost || a.taken < (1-slight)*a.rate {
		return a, err
	}
	return s.try(rate, false)
}

// confirm returns the highest rate that passes, from this one down.
func (s *search) confirm(rate float64, sender bool) (found, error) {
	for ask := rate; ; ask *= 0.93 {
		if sender && ask == rate {
			ask = 0 // as fast as possible
		}
		passed, at, err := s.passes(ask)
		if err != nil {
			return found{}, err
		}
		s.steps++
		if passed || s.steps >= maxSteps {
			return found{at, sender && ask == 0, passed}, nil
		}
		ask = at
	}
}

// passes tries a rate for long: it passes if two of three tries lose nothing.
// at is the median of what was sent.
func (s *search) passes(rate float64) (passed bool, at float64, err error) {
	var rates []float64
	clean, lossy := 0, 0
	for clean < 2 && lossy < 2 {
		a, err := s.try(rate, true)
		if err != nil {
			return false, 0, err
		}
		rates = append(rates, a.rate)
		if a.lost {
			lossy++
		} else {
			clean++
		}
	}
	return clean == 2, median(rates), nil
}

// median returns the middle of the values, the lower one of two. Of none it is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(values))[(len(values)-1)/2]
}
