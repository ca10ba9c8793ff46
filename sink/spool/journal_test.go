package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// killed returns a spool on a copy of the directory, as a killed process leaves
// it.
func killed(t *testing.T, s *Spool) *Spool {
	t.Helper()
	path := t.TempDir()
	if err := os.CopyFS(path, os.DirFS(s.cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	return open(t, Config{Dir: path})
}

func TestCommittedIsNotReadAgainAfterKills(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	put(t, s, "0", "1", "2", "3", "4", "5")
	for _, commit := range []bool{true, false, true, true} {
		if b := read(t, s, 1); commit {
			s.Commit(b)
		}
	}
	s = killed(t, s) // without any checkpoint
	s.Commit(read(t, s, 1))
	s = killed(t, s) // soon after the one before
	put(t, s, "6")
	if got := drain(t, s); !slices.Equal(got, []string{"4", "5", "6"}) {
		t.Errorf("read %q, want 4, 5 and 6", got)
	}
}

func TestCheckpointsBeginJournalsAnew(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	for round := range 4 {
		for n := range 100 {
			put(t, s, fmt.Sprint(n))
			s.Commit(read(t, s, 1))
		}
		put(t, s, "left")
		if err := s.Sync(); err != nil {
			t.Fatal(err)
		}
		sum := s.journal.sizes[0] + s.journal.sizes[1]
		if most := int64(2 * (idSize + 101*journalRecord)); sum > most {
			t.Errorf("round %d: journals of %d bytes, want %d at the most", round, sum, most)
		}
		if got := drain(t, killed(t, s)); len(got) != round%2+1 {
			t.Errorf("round %d: read %q", round, got)
		}
		if round%2 == 1 {
			for range 2 {
				s.Commit(read(t, s, 1))
			}
		}
	}
}

// A checkpoint that could not be written has nothing: the journals go on.
func TestJournalsStayUntilACheckpointIsThere(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	put(t, s, "0", "1", "2", "3")
	blocked := filepath.Join(s.cfg.Dir, checkpointName+".new")
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.Commit(read(t, s, 1))
		if s.Sync() == nil {
			t.Fatal("the checkpoint was written")
		}
	}
	if got := drain(t, killed(t, s)); !slices.Equal(got, []string{"3"}) {
		t.Errorf("read %q, want 3", got)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
}

func TestJournalOfAnotherSpoolCountsNothing(t *testing.T) {
	a, b := open(t, Config{Dir: t.TempDir()}), open(t, Config{Dir: t.TempDir()})
	for _, s := range []*Spool{a, b} {
		put(t, s, "0", "1")
		first := read(t, s, 1)
		if s == a {
			s.Commit(first)
		}
	}
	text, err := os.ReadFile(filepath.Join(a.cfg.Dir, journalName(0)))
	if err == nil {
		err = os.WriteFile(filepath.Join(b.cfg.Dir, journalName(0)), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := drain(t, killed(t, b)); len(got) != 2 {
		t.Errorf("read %q, want both", got)
	}
}

func TestJournalHasABound(t *testing.T) {
	j := journal{dir: t.TempDir(), id: "0123456789abcdef"}
	for n := range uint32(journalMost/journalRecord + 10) {
		j.add(span{segment: 1, from: n + 1, to: n + 2})
	}
	gone, err := readJournals(j.dir)
	most := (journalMost - idSize) / journalRecord
	if spans := gone[place{j.id, 1}]; err != nil || len(spans) != most || spans[most-1].to != uint32(most)+1 {
		t.Errorf("%d spans (%v), want %d", len(spans), err, most)
	}
	j.close(true)
	if left, _ := os.ReadDir(j.dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct{ gone, want []span }{
		{nil, []span{{from: 10, to: 20}}},
		{[]span{{from: 5, to: 10}, {from: 20, to: 30}}, []span{{from: 10, to: 20}}},
		{[]span{{from: 5, to: 11}, {from: 19, to: 30}}, []span{{from: 11, to: 19}}},
		{[]span{{from: 12, to: 14}, {from: 12, to: 13}, {from: 14, to: 15}}, []span{{from: 10, to: 12}, {from: 15, to: 20}}},
		{[]span{{from: 10, to: 20}}, nil},
		{[]span{{from: 1, to: 100}, {from: 15, to: 16}}, nil},
	} {
		if got := cut(span{from: 10, to: 20}, c.gone); !slices.Equal(got, c.want) {
			t.Errorf("without %v: %v, want %v", c.gone, got, c.want)
		}
	}
}

// Any bytes in a journal leave a spool that opens and is read to its end.
func FuzzJournal(f *testing.F) {
	j := journal{dir: f.TempDir(), id: "0123456789abcdef"}
	j.add(span{segment: 1, from: 32, to: 53})
	whole, err := os.ReadFile(filepath.Join(j.dir, journalName(0)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	segment := appendHeader(nil, 1, j.id)
	segment = appendRecord(segment, []byte("event"), 1)
	segment = appendRecord(segment, []byte("another"), 2)
	f.Fuzz(func(t *testing.T, b []byte) {
		path := t.TempDir()
		for name, b := range map[string][]byte{segmentName(1): segment, journalName(1): b} {
			if err := os.WriteFile(filepath.Join(path, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, Config{Dir: path})
		put(t, s, "last")
		if got := drain(t, s); got[len(got)-1] != "last" {
			t.Errorf("%q", got)
		}
	})
}
