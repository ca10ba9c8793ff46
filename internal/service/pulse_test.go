package service

import (
	"testing"
	"time"
)

// counters are the counters of a pulse's parts, which tests move.
type counters []uint64

func (c counters) pulse() *pulse {
	p := &pulse{seen: make([]beat, len(c))}
	for i := range c {
		p.parts = append(p.parts, part{"part " + string(rune('a'+i)), func() uint64 { return c[i] }})
	}
	return p
}

func TestPulse(t *testing.T) {
	type look struct {
		at    time.Duration
		moved []int // parts that moved since the last look
		want  string
	}
	const stuck = stuckAfter
	for _, test := range []struct {
		name  string
		looks []look
	}{
		{"just begun", []look{{0, nil, ""}}},
		{"begun long after the epoch", []look{{1000 * time.Hour, nil, ""}}},
		{"just below", []look{{0, nil, ""}, {stuck - 1, nil, ""}}},
		{"at", []look{{0, nil, ""}, {stuck, nil, "part a has not moved for 10s"}}},
		{"after", []look{{0, nil, ""}, {stuck + 2*time.Second, nil, "part a has not moved for 12s"}}},
		{"moved meanwhile", []look{{0, nil, ""}, {stuck - 1, []int{0, 1}, ""}, {2*stuck - 2, nil, ""}, {2*stuck - 1, nil, "part a has not moved for 10s"}}},
		{"moved at the last moment", []look{{0, nil, ""}, {stuck, []int{0, 1}, ""}}},
		{"the other one", []look{{0, nil, ""}, {stuck, []int{0}, "part b has not moved for 10s"}}},
		{"moves again", []look{{0, nil, ""}, {stuck, nil, "part a has not moved for 10s"}, {stuck + 1, []int{0, 1}, ""}, {2 * stuck, nil, ""}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := make(counters, 2)
			p := c.pulse()
			began := time.Unix(1_800_000_000, 0)
			for i, l := range test.looks {
				for _, part := range l.moved {
					c[part]++
				}
				p.take(began.Add(l.at))
				got := ""
				if err := p.stuck(); err != nil {
					got = err.Error()
				}
				if got != l.want {
					t.Errorf("look %d: %q, want %q", i, got, l.want)
				}
			}
		})
	}
}

// TestPulseBeforeTheFirstLook says that nothing is stuck that nobody looked at.
func TestPulseBeforeTheFirstLook(t *testing.T) {
	if err := make(counters, 1).pulse().stuck(); err != nil {
		t.Error(err)
	}
}

// TestPulseCounterThatWraps says that it is change that counts, not growth.
func TestPulseCounterThatWraps(t *testing.T) {
	c := counters{^uint64(0)}
	p := c.pulse()
	began := time.Unix(1_800_000_000, 0)
	p.take(began)
	c[0]++
	p.take(began.Add(stuckAfter))
	if err := p.stuck(); err != nil {
		t.Error(err)
	}
}
