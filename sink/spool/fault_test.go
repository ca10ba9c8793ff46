package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/packet"
)

// fillDisk leaves n bytes free.
func fillDisk(t *testing.T, path string, n int64) (ballast string) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		t.Fatal(err)
	}
	ballast = filepath.Join(path, "ballast")
	if err := os.WriteFile(ballast, make([]byte, int64(st.Bavail)*st.Bsize-n), 0o600); err != nil {
		t.Fatal(err)
	}
	return ballast
}

// A disk that is full to the last byte: what was taken is neither lost nor
// mixed up, the rest is refused as disk_full, another spool goes on, and so does
// this one by itself when there is room.
func TestDiskFullForReal(t *testing.T) {
	disk := lab.Disk(t, 8<<20)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{Dir: filepath.Join(disk, "a"), Size: 1 << 30, SyncEvery: 200 * time.Millisecond})
		other := open(t, Config{Dir: t.TempDir(), SyncEvery: 200 * time.Millisecond})
		var want []string
		offer := func(n int) (refused int) {
			t.Helper()
			for range n {
				e := fmt.Sprint(len(want), strings.Repeat("x", 1000))
				err := s.Append([]byte(e))
				if err == nil {
					want = append(want, e)
					continue
				}
				if refused++; Reason(err) != packet.DropDiskFull {
					t.Fatalf("%v", err)
				}
			}
			return refused
		}
		put(t, s, "first")
		want = append(want, "first")
		time.Sleep(time.Second)
		ballast := fillDisk(t, disk, 100<<10)
		for range 5 { // several attempts, of which each writes a part
			if offer(1000) == 0 {
				t.Error("nothing was refused")
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		put(t, other, "other")
		equal(t, drain(t, other), "other")
		balanced(t, s)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if refused := offer(100); refused != 0 {
			t.Errorf("%d refused with room again", refused)
		}
		equal(t, drain(t, s), want...)
	})
}

// A segment that cannot be begun for want of room is begun when there is some,
// and leaves nothing behind.
func TestNoRoomForASegment(t *testing.T) {
	disk := lab.Disk(t, 8<<20)
	s := open(t, Config{Dir: filepath.Join(disk, "a"), Size: 1 << 30})
	ballast := fillDisk(t, disk, 0)
	for range 3 {
		if err := s.Append([]byte("a")); Reason(err) != packet.DropDiskFull {
			t.Fatalf("%v", err)
		}
		s.Sync()
	}
	if files, _ := filepath.Glob(s.path(0)[:len(s.path(0))-len(segmentName(0))] + "*.spool"); len(files) != 0 {
		t.Errorf("%v", files)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	put(t, s, "b")
	equal(t, drain(t, s), "b")
}

// The checkpoint cannot be written: what is committed is committed all the same,
// and the next that can be written says so.
func TestNoRoomForTheCheckpoint(t *testing.T) {
	path := filepath.Join(lab.Disk(t, 8<<20), "a")
	s := open(t, Config{Dir: path, Size: 1 << 30})
	put(t, s, "a", "b")
	s.Commit(read(t, s, 1))
	ballast := fillDisk(t, filepath.Dir(path), 0)
	if err := s.Sync(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
	if c, err := Look(path); err != nil || c.Pending != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// A sync that fails is counted and said, and nothing else changes.
func TestSyncFails(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	put(t, s, "a", "b")
	a := read(t, s, 1)
	seg := s.active()
	file := seg.file
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0) // has no fsync
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	seg.file = null
	if err := s.Sync(); err == nil || Reason(err) != packet.DropIO {
		t.Errorf("%v", err)
	}
	seg.file = file
	s.Return(a)
	put(t, s, "c")
	equal(t, drain(t, s), "a", "b", "c")
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
	if st := s.Stats(); st.SyncErrors != 1 || st.Syncs != 2 {
		t.Errorf("%+v", st)
	}
}

// The directory is removed under it: what was in it is dropped and counted, and
// it goes on in a new one, which is as private and locked.
func TestDirectoryRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := open(t, Config{Dir: path})
	put(t, s, "a", "b")
	s.Return(read(t, s, 1))
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	put(t, s, "c") // goes where nobody finds it
	equal(t, drain(t, s))
	if st := s.Stats(); st.Dropped[packet.DropIO] != 3 {
		t.Errorf("%+v", st)
	}
	put(t, s, "d")
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != os.ModeDir|0o700 {
		t.Errorf("%v, %v", fi, err)
	}
	if _, err := Open(Config{Dir: path, Size: sizeMin}); err == nil {
		t.Error("it is not locked")
	}
	equal(t, drain(t, s), "d")
}

// A name that is taken is passed over.
func TestSegmentIsThere(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	if err := os.WriteFile(s.path(1), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Append([]byte("a")); Reason(err) != packet.DropIO {
		t.Errorf("%v", err)
	}
	s.Sync()
	put(t, s, "b")
	b := read(t, s, 1)
	if b.First.Segment != 2 {
		t.Errorf("%v", b.First)
	}
	s.Commit(b)
}

// A file that ends early, as after a power failure: what is there is read.
func TestReadToWhereTheFileEnds(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	put(t, s, "a", "b", "c")
	s.Return(read(t, s, 3))
	if err := os.Truncate(s.path(1), headerSize+2*(recordSize+1)+3); err != nil {
		t.Fatal(err)
	}
	equal(t, drain(t, s), "a", "b")
	if st := s.Stats(); st.Dropped[packet.DropIO] != 1 {
		t.Errorf("%+v", st)
	}
}

// After Close, whatever it could not write, nothing touches the directory.
func TestNothingAfterClose(t *testing.T) {
	path := t.TempDir()
	s := open(t, Config{Dir: path})
	put(t, s, "a")
	seg := s.active()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	seg.file.Close()
	seg.file = full
	if err := s.Close(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%v", err)
	}
	if err := s.Sync(); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if err := s.Append([]byte("b")); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	s.expire()
	balanced(t, s)
}
