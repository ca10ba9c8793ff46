package main

import (
	"fmt"
	"os"
	"slices"
	"time"
)

// A plan says what is measured. The first size is the one that is repeated.
type plan struct {
	sizes   []int
	repeats int
	search  bool          // for rates; else there is processor time only
	rate    float64       // the common one; 0 goes by the size
	look    time.Duration // of a try that brackets a rate, and of one at the common rate
	hold    time.Duration // of a try that decides
	budget  time.Duration // after which no repeat begins

	replayed bool   // replay is measured too
	capture  string // the file for it; empty makes one
	disk     string // a directory on a disk
}

// common returns the rate in packets a second at which receivers' processor time
// is held against each other: one that all of them carry.
func (p *plan) common(size int) float64 {
	switch {
	case p.rate > 0:
		return p.rate
	case size <= 1000:
		return 150_000
	case size <= 2000:
		return 100_000
	}
	return 20_000
}

// Figures are what was measured of one receiver with frames of one size.
type figures struct {
	rates  []found
	costs  []float64 // ns of the receiver a packet
	cores  []float64 // ns of the whole machine a packet
	ends   []float64 // ms of the receiver when it is stopped
	missed bool      // it lost some at the common rate
	anon   uint64    // most anonymous memory in any try, bytes

	// At twice its rate, or as fast as the sender goes.
	twice     trial
	twiceSure bool // it was twice its rate
}

// Results are figures by size and by receiver.
type results struct {
	limits  map[int]trial // the sender's own
	figures map[int]map[string]*figures
	replay  []*run
}

// A course measures what a plan says.
type course struct {
	plan
	*harness
	receivers []*receiver
	results
	began time.Time
}

func (c *course) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "[%v] %s\n", time.Since(c.began).Round(time.Second), fmt.Sprintf(format, args...))
}

// live measures all receivers with all sizes, and then the first size again.
func (c *course) live() error {
	for _, size := range c.sizes {
		t, err := c.limit(size, c.look)
		if err != nil {
			return err
		}
		c.limits[size] = t
		c.say("%d bytes: the sender makes %.0f packets/s", size, t.rate())
		if err := c.round(size); err != nil {
			return err
		}
	}
	for range c.repeats - 1 {
		if time.Since(c.began) > c.budget {
			c.say("no more repeats: the time is up")
			return nil
		}
		if err := c.round(c.sizes[0]); err != nil {
			return err
		}
	}
	return nil
}

// round measures every receiver once, in turn.
func (c *course) round(size int) error {
	if c.figures[size] == nil {
		c.figures[size] = make(map[string]*figures)
	}
	for _, r := range c.receivers {
		f := c.figures[size][r.name]
		if f == nil {
			f = &figures{}
			c.figures[size][r.name] = f
		}
		if err := c.cost(r, size, f); err != nil {
			return err
		}
		if !c.search || r.loop && (size != c.sizes[0] || len(f.rates) > 0) {
			continue // of a loop, one rate says enough
		}
		if err := c.highest(r, size, f); err != nil {
			return err
		}
	}
	return nil
}

// cost measures the processor time at the common rate.
func (c *course) cost(r *receiver, size int, f *figures) error {
	t, err := c.try(r, size, c.common(size), c.look)
	if err != nil {
		return err
	}
	f.costs = append(f.costs, t.each(t.cpu))
	f.cores = append(f.cores, t.each(t.cores))
	f.ends = append(f.ends, float64(t.end)/1e6)
	f.missed = f.missed || t.lost > 0
	f.anon = max(f.anon, t.anon)
	c.say("%d bytes, %s, %.0f packets/s: %.0f ns each, %d lost", size, r.name, t.rate(), t.each(t.cpu), t.lost)
	return nil
}

// highest searches for the highest rate, from where it was; the first time it also
// sends at twice that.
func (c *course) highest(r *receiver, size int, f *figures) error {
	s := search{try: func(rate float64, long bool) (attempt, error) {
		d := c.look
		if long {
			d = c.hold
		}
		t, err := c.try(r, size, rate, d)
		f.anon = max(f.anon, t.anon)
		c.say("%d bytes, %s, %.0f packets/s: %d lost", size, r.name, t.rate(), t.lost)
		return attempt{rate: t.rate(), taken: t.taken(), lost: t.lost > 0}, err
	}}
	start := 0.0
	if middle, sender := f.rate(); !sender {
		start = middle
	}
	got, err := s.run(start)
	if err != nil {
		return err
	}
	f.rates = append(f.rates, got)
	c.say("%d bytes, %s: %.0f packets/s without a loss, passed is %v", size, r.name, got.rate, got.passed)
	if len(f.rates) > 1 {
		return nil
	}
	f.twice, err = c.try(r, size, 2*got.rate, c.look)
	f.twiceSure = f.twice.rate() > 1.9*got.rate
	return err
}

// rate returns the median of the rates found, and whether the sender was the
// limit in most.
func (f *figures) rate() (middle float64, sender bool) {
	var rates []float64
	n := 0
	for _, r := range f.rates {
		if r.passed {
			rates = append(rates, r.rate)
		}
		if r.sender {
			n++
		}
	}
	return median(rates), 2*n > len(f.rates)
}

// estimate returns about how long all of it takes.
func (c *course) estimate() time.Duration {
	const start = 1500 * time.Millisecond // and stop, of a try
	look, hold := c.look+start, c.hold+start
	loops := 0
	for _, r := range c.receivers {
		if r.loop {
			loops++
		}
	}
	searched := len(c.receivers) - loops
	first := time.Duration(len(c.receivers))*look + time.Duration(searched)*(6*look+2*hold)
	again := time.Duration(len(c.receivers))*look + time.Duration(searched)*(3*look+2*hold)
	return time.Duration(len(c.sizes))*first + time.Duration(loops)*(6*look+2*hold) + min(time.Duration(c.repeats-1)*again, c.budget)
}

// only leaves the receivers whose name one of the words begins.
func only(all []*receiver, words []string) []*receiver {
	return slices.DeleteFunc(all, func(r *receiver) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return len(w) <= len(r.name) && r.name[:len(w)] == w })
	})
}
