package spool

import (
	"cmp"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A batch that was returned comes back as it was, whatever is appended behind it.
func TestBatchesComeBackAsTheyWere(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	put(t, s, "a", "b")
	s.Return(read(t, s, 5))
	put(t, s, "c")
	s.Sync()
	for _, want := range []int{2, 1} {
		if b := read(t, s, 5); b == nil || len(b.Events) != want {
			t.Errorf("%+v, want %d events", b, want)
		}
	}
}

// What cannot be written or read is not announced before the next sync.
func TestReadyAfterAnError(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	put(t, s, "a")
	<-s.Ready()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	seg := s.active()
	file := seg.file
	seg.file = full
	if _, err := s.Read(1, 1); err == nil {
		t.Error("no error from a full disk")
	}
	unready := func() {
		t.Helper()
		select {
		case <-s.Ready():
			t.Error("ready after an error")
		default:
		}
	}
	unready()
	seg.file = file
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
	<-s.Ready()
	away := s.path(1) + ".away"
	if err := cmp.Or(os.Rename(s.path(1), away), os.Mkdir(s.path(1), 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(1, 1); !errors.Is(err, unix.EISDIR) {
		t.Errorf("%v", err)
	}
	unready()
	if err := cmp.Or(os.Remove(s.path(1)), os.Rename(away, s.path(1)), s.Sync()); err != nil {
		t.Error(err)
	}
	<-s.Ready()
	equal(t, drain(t, s), "a")
}
