package pcap

import (
	"slices"
	"testing"
)

// Every byte of a file but the last is asked for once, in pieces that are worth
// it, and what finds the queue full is asked for later.
func TestWriteback(t *testing.T) {
	const mib = 1 << 20
	w := &writer{sink: new(Sink), writeback: make(chan writeback, 2)}
	f := &file{path: "p"}
	var got []writeback
	take := func() {
		for len(w.writeback) > 0 {
			got = append(got, <-w.writeback)
		}
	}
	w.grow(f, 8*mib-1) // one byte too few
	take()
	w.grow(f, 1)
	w.grow(f, 5*mib)
	w.grow(f, 3*mib+mib/2)
	w.grow(f, 8*mib) // the queue is full
	take()
	w.grow(f, 1)
	take()
	if want := []writeback{{"p", 0, 8 * mib}, {"p", 8 * mib, 8 * mib}, {"p", 16 * mib, 8 * mib}}; !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
}
