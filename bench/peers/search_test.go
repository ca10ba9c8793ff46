package main

import (
	"errors"
	"testing"
)

// TestSearch looks for the limit of receivers that are made up: of so many
// packets a second, from a sender of 1,000,000.
func TestSearch(t *testing.T) {
	const sender = 1_000_000
	for name, test := range map[string]struct {
		start, holds float64
		hiccups      int // the first tries lose a packet
		low, high    float64
		sender       bool
	}{
		"far below the sender":        {0, 50_000, 0, 46_000, 50_000, false},
		"somewhat below":              {0, 700_000, 0, 640_000, 700_000, false},
		"just below":                  {0, 990_000, 0, 900_000, 990_000, false},
		"above":                       {0, 2_000_000, 0, sender, sender, true},
		"above, from below":           {900_000, 2_000_000, 0, sender, sender, true},
		"from where it was":           {300_000, 300_000, 0, 280_000, 300_000, false},
		"from where it was, and more": {300_000, 330_000, 0, 300_000, 330_000, false},
		"from too high":               {300_000, 200_000, 0, 185_000, 200_000, false},
		"one hiccup":                  {300_000, 300_000, 1, 280_000, 300_000, false},
	} {
		tries, longs := 0, 0
		s := search{try: func(rate float64, long bool) (attempt, error) {
			tries++
			if long {
				longs++
			}
			a := attempt{rate: min(rate, sender)}
			if rate == 0 {
				a.rate = sender
			}
			a.taken = min(a.rate, test.holds)
			if a.lost = a.rate > test.holds; tries <= test.hiccups {
				a.taken, a.lost = a.rate-1, true
			}
			return a, nil
		}}
		f, err := s.run(test.start)
		if err != nil || !f.passed || f.rate < test.low || f.rate > test.high || f.sender != test.sender {
			t.Errorf("%s: %+v, %v, want %.0f to %.0f", name, f, err, test.low, test.high)
		}
		if s.steps > maxSteps || longs < 2 || longs > 9 {
			t.Errorf("%s: %d steps, %d long tries", name, s.steps, longs)
		}
	}
}

// TestSearchOfNothing finds no rate where every packet is lost, says so, and
// ends.
func TestSearchOfNothing(t *testing.T) {
	s := search{try: func(rate float64, _ bool) (attempt, error) { return attempt{rate: 1000, lost: true}, nil }}
	if f, err := s.run(0); err != nil || f.passed || s.steps != maxSteps {
		t.Errorf("%+v after %d steps, %v, want nothing passed", f, s.steps, err)
	}
	broken := errors.New("broken")
	s = search{try: func(float64, bool) (attempt, error) { return attempt{}, broken }}
	if _, err := s.run(0); !errors.Is(err, broken) {
		t.Errorf("%v, want the error of the try", err)
	}
}

// TestSearchWithAHiccup does not take a sender that was held up once for one that
// goes no faster.
func TestSearchWithAHiccup(t *testing.T) {
	tries := 0
	s := search{try: func(rate float64, _ bool) (attempt, error) {
		if tries++; tries == 2 {
			rate /= 3
		}
		if rate == 0 {
			rate = 1_000_000
		}
		return attempt{rate: rate, taken: min(rate, 500_000), lost: rate > 500_000}, nil
	}}
	if f, err := s.run(0); err != nil || f.sender || !f.passed || f.rate < 400_000 {
		t.Errorf("%+v, %v, want nearly 500,000 and not the sender's limit", f, err)
	}
}

func TestPasses(t *testing.T) {
	for tries, want := range map[string]bool{"..": true, ".!.": true, "!..": true, "!!": false, "!.!": false, ".!!": false} {
		n := 0
		s := search{try: func(rate float64, long bool) (attempt, error) {
			n++
			return attempt{rate: rate, lost: tries[n-1] == '!'}, nil
		}}
		if passed, _, err := s.passes(1); err != nil || passed != want || n != len(tries) {
			t.Errorf("%s: passed is %v after %d, %v, want %v after all", tries, passed, n, err, want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1}, 1}, {[]float64{9, 1, 5}, 5}, {[]float64{5, 4, 3, 2, 1}, 3},
	} {
		if got := median(test.values); got != test.want {
			t.Errorf("%v: %v, want %v", test.values, got, test.want)
		}
	}
}
