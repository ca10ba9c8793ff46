package service

import (
	"testing"
	"time"
)

func TestSkew(t *testing.T) {
	var s skew
	now := time.Unix(1e9, 0)
	for _, look := range []struct {
		after    time.Duration
		finished []uint64
		want     float64
	}{
		{0, []uint64{5000, 0}, 0},                        // what was before says nothing
		{skewEvery - 1, []uint64{9000, 0}, 0},            // not yet
		{1, []uint64{6000, 1000}, 1},                     // even
		{skewEvery - 1, []uint64{90000, 1000}, 1},        // not yet
		{1, []uint64{7500, 1500}, 1.5},                   // 1500 of 2000
		{skewEvery, []uint64{7500, 2500}, 2},             // one had all
		{skewEvery, []uint64{7500 + 199, 2500}, 0},       // one frame too few to tell
		{skewEvery, []uint64{7500 + 199, 2500 + 200}, 2}, // just enough
		{skewEvery, []uint64{7500 + 199, 2500 + 200}, 0}, // nothing
	} {
		now = now.Add(look.after)
		if s.take(now, look.finished); s.get() != look.want {
			t.Errorf("at %v: %v finished, skew %v, want %v", now, look.finished, s.get(), look.want)
		}
	}
}

func TestSkewOfOneWorker(t *testing.T) {
	var s skew
	now := time.Unix(1e9, 0)
	s.take(now, []uint64{0})
	if s.take(now.Add(skewEvery), []uint64{1000}); s.get() != 1 {
		t.Errorf("skew %v, want 1", s.get())
	}
}
