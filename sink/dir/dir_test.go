package dir_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/dir"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
}

func TestMake(t *testing.T) {
	root := t.TempDir()
	path := filepath.Join(root, "a", "b")
	for range 2 { // it leaves alone what is there
		if err := dir.Make(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{path, filepath.Dir(path)} {
		if fi, err := os.Stat(p); err != nil || fi.Mode() != fs.ModeDir|0o750 {
			t.Errorf("%s: %v, %v", p, fi.Mode(), err)
		}
	}
	write(t, filepath.Join(root, "file"), "")
	if err := dir.Make(filepath.Join(root, "file")); !os.IsExist(err) {
		t.Errorf("a file in its place: %v", err)
	}
}

func TestRenameReplacesNothing(t *testing.T) {
	root := t.TempDir()
	from, to := filepath.Join(root, "from"), filepath.Join(root, "to")
	write(t, from, "new")
	write(t, to, "old")
	if err := dir.Rename(from, to); !os.IsExist(err) || !strings.Contains(err.Error(), to) {
		t.Errorf("%v", err)
	}
	if text, err := os.ReadFile(to); string(text) != "old" {
		t.Errorf("%q, %v", text, err)
	}
	if err := errors.Join(os.Remove(to), dir.Rename(from, to)); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(to); string(text) != "new" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestDropReason(t *testing.T) {
	for err, want := range map[error]packet.Drop{
		unix.ENOSPC: packet.DropDiskFull,
		unix.EDQUOT: packet.DropDiskFull,
		unix.EIO:    packet.DropIO,
		dir.ErrGone: packet.DropIO,
	} {
		if got := dir.DropReason(fmt.Errorf("write: %w", err)); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

// A directory has one holder, also when its lock file is removed.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "files")
	if err := dir.Make(path); err != nil {
		t.Fatal(err)
	}
	lock, err := dir.TakeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	held := func() {
		t.Helper()
		var locked *dir.LockedError
		_, err := dir.TakeLock(path)
		if !errors.As(err, &locked) || locked.Dir != path || !strings.Contains(locked.Holder, fmt.Sprintf("pid %d ", os.Getpid())) {
			t.Errorf("a second lock: %v", err)
		}
	}
	held()
	if err := errors.Join(os.RemoveAll(path), lock.Check()); err != nil {
		t.Fatal(err)
	}
	held()
	lock.Release()
	if lock, err = dir.TakeLock(path); err != nil {
		t.Fatal(err)
	}
	lock.Release()
}

// Where nothing can be made, though the directory above is there, Make says so:
// it was removed while it was somebody's, or the kernel makes up what is in it.
func TestMakeWhereNothingCanBe(t *testing.T) {
	t.Chdir(t.TempDir())
	gone, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"a/b", "a", ".", "/proc/a", "/proc/a/b"} {
		if err := dir.Make(path); err == nil && path != "." {
			t.Errorf("%s was made", path)
		}
	}
}
