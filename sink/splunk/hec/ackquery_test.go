package hec

import (
	"fmt"
	"testing"
	"time"
)

func newTestEndpoint() *endpoint {
	return &endpoint{channels: make(map[string]*channel), news: make(chan struct{}, 1)}
}

// Answers may come in another order than their requests were counted in.
func TestExpect(t *testing.T) {
	type answer struct{ id, floor int64 }
	tests := []struct {
		name    string
		answers []answer
		lost    bool
	}{
		{"in order", []answer{{0, -1}, {1, 0}, {2, 1}}, false},
		{"out of order", []answer{{3, -1}, {1, -1}, {2, -1}, {0, -1}}, false},
		{"one above the floor", []answer{{3, -1}, {4, 3}}, false},
		{"at the floor", []answer{{4, -1}, {3, 3}}, true},
		{"below the floor", []answer{{3, -1}, {0, 3}}, true},
		{"twice", []answer{{0, -1}, {1, -1}, {0, -1}}, true},
	}
	for _, tt := range tests {
		e := newTestEndpoint()
		ch, _ := e.channel("t")
		for i, a := range tt.answers {
			if begin := e.expect(&waiting{ch: ch, id: a.id, since: noon}, a.floor); begin != (i == 0) {
				t.Errorf("%s: answer %d begins to poll: %v", tt.name, i, begin)
			}
		}
		s := e.sweep(noon)
		next, _ := e.channel("t")
		if ch.lost != tt.lost || (next != ch) != tt.lost || (len(s.failed) == len(tt.answers)) != tt.lost || e.polled == tt.lost {
			t.Errorf("%s: lost %v, %d failed, want %v", tt.name, ch.lost, len(s.failed), tt.lost)
		}
	}
}

func TestSweepTimes(t *testing.T) {
	e := newTestEndpoint()
	ch, _ := e.channel("t")
	e.expect(&waiting{ch: ch, id: 0, since: noon}, -1)
	e.expect(&waiting{ch: ch, id: 1, since: noon.Add(time.Second)}, 0)
	if s := e.sweep(noon.Add(ackTimeout - 1)); len(s.failed) != 0 || s.next != noon.Add(ackTimeout) {
		t.Errorf("before the time: %+v", s)
	}
	if s := e.sweep(noon.Add(ackTimeout)); len(s.failed) != 1 || s.timeouts != 1 || s.next != noon.Add(ackTimeout+time.Second) {
		t.Errorf("at the time: %+v", s)
	}
	if len(ch.ids) != 1 || len(e.waiting) != 1 {
		t.Errorf("%d ids of %d", len(ch.ids), len(e.waiting))
	}
}

func TestPendingIsBounded(t *testing.T) {
	g := gate{window: window{most: 8, extra: 7}, pending: maxPending - 2}
	g.take()
	if !g.passes(noon, 0) {
		t.Error("full one before the bound")
	}
	g.take()
	if g.passes(noon, 0) {
		t.Error("more than the bound may be awaited")
	}
	g.hold, g.until = backoff, noon
	if g.passes(noon, 0) || !g.due().IsZero() {
		t.Errorf("due at %v though it is full", g.due())
	}
	g.pending, g.inflight = 0, 8 // requests from before the hold
	if g.passes(noon, 0) || !g.due().IsZero() {
		t.Errorf("due at %v though every place is taken", g.due())
	}
	if g.inflight--; !g.passes(noon, 0) {
		t.Error("no trial though a place is free")
	}
}

func TestChannelsAreBounded(t *testing.T) {
	e := newTestEndpoint()
	for i := range 100 {
		e.channel(fmt.Sprint(i))
	}
	if len(e.channels) > maxTokens {
		t.Errorf("%d channels", len(e.channels))
	}
}

func FuzzReadAcks(f *testing.F) {
	f.Add(200, []byte(`{"acks":{"0":true,"1":false}}`), false)
	f.Add(200, []byte(`{"acks":{"9223372036854775808":true}}`), false)
	f.Add(400, []byte(`{"code":14}`), true)
	f.Fuzz(func(t *testing.T, status int, body []byte, cut bool) {
		told, verdict := readAcks(answer{status: status, body: body, cut: cut})
		if (told != nil) != (verdict == ackTold) || verdict == ackTold && (status != 200 || cut) {
			t.Errorf("%v of status %d", verdict, status)
		}
		for id := range told {
			if id < 0 {
				t.Errorf("id %d", id)
			}
		}
	})
}
