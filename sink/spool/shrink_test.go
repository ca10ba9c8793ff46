package spool

import (
	"bytes"
	"testing"
)

// TestSmallerSize says that a spool that is opened with a smaller size than its
// last segment has takes events once that segment is committed.
func TestSmallerSize(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Size: 64 << 20, SegmentBytes: 8 << 20}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	event := bytes.Repeat([]byte("x"), 1<<20)
	const events = 6 // in one segment
	for range events {
		if err := s.Append(event); err != nil {
			t.Fatal(err)
		}
	}
	for range events {
		b, err := s.Read(1, 1)
		if err != nil || b == nil {
			t.Fatal(b, err)
		}
		s.Commit(b)
	}
	last := s.Next()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Size = sizeMin
	for range 2 { // the segment is empty, and stays the newest
		if s, err = Open(cfg); err != nil {
			t.Fatal(err)
		}
		if n := s.Stats().Bytes; n != headerSize {
			t.Errorf("%d bytes on disk, want the header of a segment", n)
		}
		if n := s.Stats().Found; n != 0 {
			t.Errorf("%d events found, want none", n)
		}
		if next := s.Next(); next.Segment <= last.Segment {
			t.Errorf("next segment is %d, which was used", next.Segment)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Append(event); err != nil {
		t.Error(err)
	}
}
