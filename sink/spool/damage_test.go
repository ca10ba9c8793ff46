package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// TestDamage changes the file of three events of 10 bytes, by byte.
func TestDamage(t *testing.T) {
	const record = recordSize + 10
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		live   string // what is read when the spool is open
		after  string // and when it is opened then, without a checkpoint
	}{
		"payload of the first": {func(b []byte) []byte { b[headerSize+recordSize]++; return b }, "bc", "bc"},
		"time of the second":   {func(b []byte) []byte { b[headerSize+record+8]++; return b }, "ac", "ac"},
		"payload of the last":  {func(b []byte) []byte { b[len(b)-1]++; return b }, "ab", "ab"},
		"length of the second": {func(b []byte) []byte { b[headerSize+record+4]++; return b }, "a", "a"},
		"length of gigabytes":  {func(b []byte) []byte { b[headerSize+7] = 0x7f; return b }, "", ""},
		"zeros":                {func(b []byte) []byte { clear(b[headerSize+record:]); return b }, "a", "a"},
		"end is missing":       {func(b []byte) []byte { return b[:len(b)-1] }, "ab", "ab"},
		"only a header":        {func(b []byte) []byte { return b[:headerSize] }, "", ""},
		"more behind":          {func(b []byte) []byte { return append(b, 1, 2, 3) }, "abc", "abc"},
		"nothing":              {func(b []byte) []byte { return nil }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			s := open(t, Config{Dir: path})
			put(t, s, "aaaaaaaaaa", "bbbbbbbbbb", "cccccccccc")
			s.Return(read(t, s, 3))
			file := s.path(1)
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b = c.change(b)
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			check := func(want string) {
				t.Helper()
				got := ""
				for _, e := range drain(t, s) {
					got += e[:1]
				}
				if got != want || s.Stats().Pending != 0 {
					t.Errorf("read %q, want %q; %+v", got, want, s.Stats())
				}
				put(t, s, "z") // it goes on
				equal(t, drain(t, s), "z")
			}
			other := t.TempDir()
			if err := os.WriteFile(filepath.Join(other, filepath.Base(file)), b, 0o600); err != nil {
				t.Fatal(err)
			}
			if name != "nothing" && name != "end is missing" && name != "only a header" { // what is written goes where it was to go
				check(c.live)
				if st := s.Stats(); st.Dropped[packet.DropIO] != 3-uint64(len(c.live)) {
					t.Errorf("%+v", st)
				}
			}
			s = open(t, Config{Dir: other})
			check(c.after)
		})
	}
}

func TestDamagedCheckpoint(t *testing.T) {
	path := t.TempDir()
	s := open(t, Config{Dir: path})
	put(t, s, "a", "b")
	s.Commit(read(t, s, 1))
	s.Close()
	file := filepath.Join(path, checkpointName)
	b, err := os.ReadFile(file)
	if err != nil || os.WriteFile(file, bytes.Replace(b, []byte("1"), []byte("2"), 1), 0o600) != nil {
		t.Fatal(err)
	}
	equal(t, drain(t, open(t, Config{Dir: path})), "a", "b")
}

func TestSegmentGone(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	put(t, s, "a", "b")
	s.Return(read(t, s, 1))
	if err := os.Remove(s.path(1)); err != nil {
		t.Fatal(err)
	}
	equal(t, drain(t, s))
	if st := s.Stats(); st.Dropped[packet.DropIO] != 2 {
		t.Errorf("%+v", st)
	}
}
