package spool

import (
	"strings"
	"testing"
)

// A parked batch has no memory and is still out: it is neither read again nor
// forgotten, and it is committed or returned as any other.
func TestPark(t *testing.T) {
	path := t.TempDir()
	s := open(t, Config{Dir: path})
	put(t, s, "a", "b", "c")
	a, b, c := read(t, s, 1), read(t, s, 1), read(t, s, 1)
	first := a.First
	for _, batch := range []*Batch{a, b, c, c} { // once more does nothing
		s.Park(batch)
		if batch.Events != nil || batch.buf != nil || batch.Oldest.IsZero() {
			t.Errorf("%+v", batch)
		}
	}
	if n := len(s.spare); n != keepBatches {
		t.Errorf("%d batches are kept, of 3 parked", n)
	}
	if a.First != first || read(t, s, 1) != nil || s.Stats().Pending != 3 {
		t.Errorf("%+v, %+v", a, s.Stats())
	}
	s.Commit(b)
	s.Return(a)
	if n := len(s.spare); n != keepBatches {
		t.Errorf("%d batches are kept, and those parked had nothing to keep", n)
	}
	again := read(t, s, 5)
	equal(t, []string{string(again.Events[0])}, "a")
	s.Return(again)
	s.Close()
	equal(t, drain(t, open(t, Config{Dir: path})), "a", "c") // c was out
}

// Reads after Park use its memory again.
func TestParkedMemoryIsUsedAgain(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	for range 20 {
		put(t, s, strings.Repeat("x", 1000))
	}
	var parked []*Batch
	var buf *byte
	for range 20 {
		b := read(t, s, 1)
		at := &b.buf[:1][0]
		if buf != nil && at != buf {
			t.Fatal("memory is not used again")
		}
		buf = at
		s.Park(b)
		parked = append(parked, b)
	}
	for _, b := range parked {
		s.Commit(b)
	}
	if st := s.Stats(); st.Committed != 20 || st.Pending != 0 {
		t.Errorf("%+v", st)
	}
}
