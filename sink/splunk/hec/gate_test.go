package hec

import (
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	w := newWindow(1)
	if w.size() != 1 {
		t.Fatalf("begins at %d", w.size())
	}
	good, slow := &Outcome{Class: Delivered}, &Outcome{Slow: true}
	for range 1 + 2 + 3 + 4 + 5 + 6 + 7 - 1 {
		w.note(good)
	}
	if w.size() != 7 {
		t.Errorf("%d one before the last step, want 7", w.size())
	}
	for range 100 {
		w.note(good)
	}
	for _, want := range []int{8, 4, 2, 1, 1} {
		if w.size() != want {
			t.Errorf("%d, want %d", w.size(), want)
		}
		if less := w.note(slow); less != (want > 1) {
			t.Errorf("less than %d: %v", want, less)
		}
	}
	w.note(&Outcome{Class: Split})
	if w.size() != 1 {
		t.Errorf("%d after a split, want 1", w.size())
	}
	for endpoints, most := range map[int]int{1: 8, 2: 8, 3: 5, 15: 1, 16: 1} {
		if w := newWindow(endpoints); w.most != most {
			t.Errorf("at most %d of %d endpoints, want %d", w.most, endpoints, most)
		}
	}
}

// Requests that were out together fail together: that is one failure, and says
// nothing about the trial that comes later.
func TestGateEpoch(t *testing.T) {
	g := gate{window: window{most: 8, extra: 7}}
	whole := func(d time.Duration) time.Duration { return d }
	lost, good, slow := &Outcome{Slow: true}, &Outcome{Class: Delivered}, &Outcome{Class: Delivered, Slow: true}
	var out []pass
	for g.passes(noon, 0) {
		out = append(out, g.take())
	}
	if len(out) != 8 {
		t.Fatalf("%d places, want 8", len(out))
	}
	for _, p := range out[:6] {
		g.settle(p, lost, 0, noon, whole)
	}
	if g.size() != 4 || g.failures != 1 || g.wait != 500*time.Millisecond {
		t.Errorf("window %d, %d failures, wait %v", g.size(), g.failures, g.wait)
	}
	g.settle(out[6], good, 0, noon, whole)
	if g.hold != backoff || g.passes(g.until.Add(-1), 0) || !g.passes(g.until, 0) {
		t.Errorf("%+v after a good answer to an old request", g)
	}
	trial := g.take()
	g.settle(out[7], lost, 0, noon, whole)
	if g.passes(g.until, 0) {
		t.Error("the end of an old request ends the trial")
	}
	g.settle(trial, good, 0, noon, whole)
	if g.hold != free || g.inflight != 0 {
		t.Errorf("%+v after the trial", g)
	}
	out = []pass{g.take(), g.take(), g.take()}
	for _, p := range out {
		g.settle(p, slow, 0, noon, whole)
	}
	if g.size() != 2 || g.hold != free {
		t.Errorf("window %d after a warning to each of three requests, want 2", g.size())
	}
}

func TestGateGivenUp(t *testing.T) {
	g := gate{window: newWindow(1)}
	whole := func(d time.Duration) time.Duration { return d }
	g.settle(g.take(), &Outcome{}, 0, noon, whole)
	g.give(g.take())
	if !g.passes(g.until, 0) || g.failures != 1 {
		t.Errorf("%+v after a trial that was given up", g)
	}
}
