package backoff_test

import (
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/backoff"
)

// A pause doubles from the shortest to the longest, is over at its end and not
// before, and begins anew after a success.
func TestPause(t *testing.T) {
	var p backoff.Pause
	var now time.Time
	if !p.Due(now) {
		t.Error("the zero value pauses")
	}
	for _, seconds := range []time.Duration{3, 6, 12, 20, 20} {
		p.Extend(now, 3*time.Second, 20*time.Second)
		if want := seconds * time.Second; p.Delay != want || !p.Until.Equal(now.Add(want)) {
			t.Errorf("a pause of %s until %s, want one of %s", p.Delay, p.Until, want)
		}
		if p.Due(p.Until.Add(-1)) || !p.Due(p.Until) {
			t.Errorf("not due just from %s on", p.Until)
		}
		now = p.Until
	}
	p = backoff.Pause{}
	if p.Extend(now, 3*time.Second, 20*time.Second); p.Delay != 3*time.Second {
		t.Errorf("after a success a pause of %s", p.Delay)
	}
}
