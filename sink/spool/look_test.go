package spool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Look sees what the next Open finds, while the spool is open, after Close, and
// without the checkpoint, and changes nothing.
func TestLook(t *testing.T) {
	path := t.TempDir()
	now := time.Unix(1000, 0)
	s := open(t, Config{Dir: path, SegmentBytes: segmentMin, Now: func() time.Time { return now }})
	look := func(pending int) Contents {
		t.Helper()
		before, _ := os.ReadDir(path)
		c, err := Look(path)
		if err != nil || c.Pending != pending || c.ID != s.ID() {
			t.Errorf("%+v, %v, want %d pending", c, err, pending)
		}
		if after, _ := os.ReadDir(path); len(after) != len(before) {
			t.Errorf("%v, was %v", after, before)
		}
		return c
	}
	for range 3 {
		put(t, s, strings.Repeat("x", segmentMin), "y")
	}
	s.Sync()
	if c := look(6); c.Segments != 4 || c.Bytes != s.Stats().Bytes || !c.Oldest.Equal(now) {
		t.Errorf("%+v, %+v", c, s.Stats())
	}
	now = now.Add(time.Second)
	put(t, s, "z")
	s.Commit(read(t, s, 1))
	look(5) // its segment is gone; z is in the buffer
	s.Sync()
	look(6)
	s.Close()
	look(6)
	if err := os.Remove(filepath.Join(path, checkpointName)); err != nil {
		t.Fatal(err)
	}
	look(6)

}

func TestLookAtDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	if c, err := Look(path); err == nil || c != (Contents{}) {
		t.Errorf("of what is not there: %+v, %v", c, err)
	}
	s := open(t, Config{Dir: path})
	if c, err := Look(path); err != nil || c != (Contents{}) {
		t.Errorf("of nothing: %+v, %v", c, err)
	}
	put(t, s, "a", "b")
	s.Commit(read(t, s, 1))
	s.Close()
	for name, text := range map[string]string{
		"0000000000000007.spool": strings.Repeat("x", 100),
		"0000000000000008.spool": "", // is being made
	} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Look(path)
	if c.Pending != 1 || c.Segments != 1 || err == nil || !strings.Contains(err.Error(), "7.spool: file is not a segment") {
		t.Errorf("%+v, %v", c, err)
	}
	if err := os.WriteFile(filepath.Join(path, checkpointName), []byte("crc"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err = Look(path)
	if c.Pending != 2 || err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "checkpoint") {
		t.Errorf("%+v, %v", c, err)
	}
	// What Open does with them: nothing, but that it does not use their numbers.
	s = open(t, Config{Dir: path})
	equal(t, drain(t, s), "a", "b")
	if next := s.Next(); next.Segment != 9 {
		t.Errorf("%v", next)
	}
}
