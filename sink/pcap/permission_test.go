package pcap_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// immutable sets or clears what keeps even root from making, renaming and
// removing entries of a directory (chattr +i).
func immutable(t *testing.T, dir string, on bool) {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	flags := 0
	if on {
		flags = 0x10 // FS_IMMUTABLE_FL
	}
	if err := unix.IoctlSetPointerInt(int(d.Fd()), unix.FS_IOC_SETFLAGS, flags); err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
}

func TestPermissionLostAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := lab.Disk(t, 1<<20)
		l := newLive(t, pcap.Config{Dir: dir, Rotate: pcap.Rotate{Packets: 5}})
		l.offer(3, 100)
		immutable(t, filepath.Join(dir, "s"), true)
		l.offer(4, 100) // 2 fit the file that is open, which cannot be completed
		l.want(5, 0, 2)
		l.offer(1, 100)
		l.want(5, 0, 3)
		if st := l.sink.Stats(); st.FilesCompleting != 1 || st.FilesCompleted != 0 || st.Failing != 1 {
			t.Errorf("stats %+v", st)
		}
		immutable(t, filepath.Join(dir, "s"), false)
		l.offer(5, 100)
		l.want(10, 0, 3)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		if st := l.sink.Stats(); st.FilesCompleting != 0 || st.FilesCompleted != 1 || st.Failing != 0 {
			t.Errorf("stats %+v", st)
		}
		finish(t, l.sink)
		if n := l.inFiles(); n != 10 || len(tree(t, dir)) != 2 {
			t.Errorf("%d frames in %q", n, names(tree(t, dir)))
		}
	})
}

func TestFilesThatCannotBeCompleted(t *testing.T) {
	dir := lab.Disk(t, 1<<20)
	s := open(t, pcap.Config{Dir: dir, Replay: true})
	s.Offer(0, frame(session("s"), 0, 60))
	s.Mark(0, 1, 0)
	waitFor(t, func() bool { return s.Ledger().Stored == 1 })
	immutable(t, filepath.Join(dir, "s"), true)
	err := s.Close(t.Context())
	if err == nil || !strings.Contains(err.Error(), "s_20260314T150926.535Z_000001.pcap.partial") {
		t.Errorf("error %v", err)
	}
	immutable(t, filepath.Join(dir, "s"), false)
	s, got := reopen(t, pcap.Config{Dir: dir})
	if got.finished != 1 {
		t.Errorf("next start: %+v", got)
	}
	finish(t, s)
}

func TestPermissions(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	for _, umask := range []int{0, 0o077} {
		unix.Umask(umask)
		dir := filepath.Join(t.TempDir(), "a", "b")
		s := open(t, pcap.Config{Dir: dir, Replay: true})
		s.Offer(0, frame(session("s"), 0, 60))
		finish(t, s)
		for path, want := range map[string]os.FileMode{"": 0o750, "s": 0o750, names(tree(t, dir))[0]: 0o640} {
			fi, err := os.Stat(filepath.Join(dir, path))
			if err != nil || fi.Mode().Perm() != want {
				t.Errorf("umask %03o: %q has mode %v, want %v; %v", umask, path, fi.Mode().Perm(), want, err)
			}
		}
	}
}
