package pcap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/packet"
)

// failOnce returns an fdatasync that fails the first time it is called, as the
// kernel does that tells of a lost write once.
func failOnce(err error) func(int) error {
	var told atomic.Bool
	return func(fd int) error {
		if !told.Swap(true) {
			return err
		}
		return unix.Fdatasync(fd)
	}
}

// offerTo gives a worker one frame of 60 bytes and lets the writer take it.
func offerTo(s *Sink, session *packet.Session) {
	now := time.Now().UnixNano()
	s.Offer(0, &packet.Frame{Data: make([]byte, 60), Length: 60, Time: now, Order: now, Session: session})
	s.Mark(0, now+1, now)
	s.Mark(0, now+1, now)
	time.Sleep(2 * roundEvery)
	synctest.Wait()
}

// A file of which a sync failed does not get its name when the next one
// succeeds, be it the sync of its completion or one before.
func TestLostWriteIsNotForgotten(t *testing.T) {
	for _, lost := range []error{unix.EIO, unix.ENOSPC} {
		for _, every := range []time.Duration{0, 200 * time.Millisecond} {
			t.Run(fmt.Sprintf("%v, sync every %v", lost, every), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir := t.TempDir()
					var text strings.Builder
					s, err := Open(Config{Dir: dir, Sync: every, Rotate: Rotate{Packets: 2}, fdatasync: failOnce(lost),
						Log: slog.New(slog.NewTextHandler(&text, nil))})
					if err != nil {
						t.Fatal(err)
					}
					session := &packet.Session{ID: 1, Name: "s"}
					for range 5 {
						offerTo(s, session)
						time.Sleep(time.Second)
					}
					time.Sleep(2 * completeRetry)
					err = s.Close(context.Background())
					if !errors.Is(err, lost) || strings.Contains(err.Error(), "\n") {
						t.Errorf("Close returns %v", err)
					}
					partial, _ := filepath.Glob(dir + "/s/*_000001.pcap.partial")
					all, _ := filepath.Glob(dir + "/s/*")
					if len(partial) != 1 || len(all) != 3 {
						t.Errorf("files %q, want the first of three to be partial", all)
					}
					if st := s.Stats(); st.FilesIncomplete != 1 || st.FilesCompleted != 2 || st.FilesCompleting != 0 {
						t.Errorf("%+v", st)
					}
					if !strings.Contains(text.String(), "could not be completed") {
						t.Errorf("log\n%s", &text)
					}
					if got, err := salvage(dir, slog.New(slog.DiscardHandler)); err != nil || got.finished != 1 {
						t.Errorf("the next start: %+v, %v", got, err)
					}
				})
			})
		}
	}
}

// A network file system tells of a lost write when the file is closed.
func TestLostWriteAtClose(t *testing.T) {
	for err, want := range map[error]bool{nil: false, unix.EINTR: false, unix.EIO: true, unix.ENOSPC: true} {
		var d durable
		d.closed("path", err)
		if got := d.sync(0, "path", func(int) error { return nil }); errors.Is(got, errNotDurable) != want {
			t.Errorf("after close returned %v a sync returns %v", err, got)
		}
	}
}

// A file that was renamed is synced under its new name in time, although nothing
// was written since the last sync.
func TestRenamedFileIsSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var synced []string
		s, err := Open(Config{Dir: t.TempDir(), Sync: time.Second, fdatasync: func(fd int) error {
			path, err := os.Readlink(fmt.Sprint("/proc/self/fd/", fd))
			synced = append(synced, filepath.Base(filepath.Dir(path)))
			return err
		}})
		if err != nil {
			t.Fatal(err)
		}
		before := &packet.Session{ID: 1, Name: "vni-7"}
		offerTo(s, before)
		time.Sleep(5 * time.Second)
		before.Become(&packet.Session{ID: 2, Name: "web"})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := fmt.Sprint(synced); got != "[vni-7 web]" {
			t.Errorf("synced in the directories %s", got)
		}
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// A file that waits for its sync counts for retention.
func TestCompletingCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		os.Mkdir(filepath.Join(dir, "s"), 0o750)
		for i := range 5 {
			path := filepath.Join(dir, "s", fileName("s", 0, uint64(i+1)))
			os.WriteFile(path, make([]byte, 1000), 0o640)
			os.Chtimes(path, time.Unix(1, 0), time.Unix(int64(i), 0))
		}
		disk := make(chan struct{})
		s, err := Open(Config{Dir: dir, Rotate: Rotate{Packets: 1}, Retain: Retain{Size: 5050},
			fdatasync: func(int) error { <-disk; return nil }})
		if err != nil {
			t.Fatal(err)
		}
		offerTo(s, &packet.Session{ID: 1, Name: "s"})
		s.Reconfigure(Rotate{Every: time.Second}, Retain{Size: 5050})
		time.Sleep(2 * retainEvery)
		synctest.Wait()
		if st := s.Stats(); st.FilesCompleting != 1 || st.RemovedFiles[BySize] != 1 || st.RetainedBytes != 4000 {
			t.Errorf("while it is completed: %+v", st)
		}
		close(disk)
		time.Sleep(2 * retainEvery)
		synctest.Wait()
		if st := s.Stats(); st.FilesCompleting != 0 || st.RemovedFiles[BySize] != 1 || st.RetainedBytes != 4000+fileHeader+recordHeader+60 {
			t.Errorf("afterwards: %+v", st)
		}
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if n := s.gauges.unfinishedBytes.Load(); n != 0 {
			t.Errorf("%d bytes unfinished in the end", n)
		}
	})
}

// A file that a scan found, and that then is told of as completed, counts once,
// also where the file system's times are in seconds.
func TestScannedAndAdded(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "s"), 0o750)
	paths := make([]string, 3)
	for i := range paths {
		paths[i] = filepath.Join(dir, "s", fileName("s", 0, uint64(i+1)))
		os.WriteFile(paths[i], make([]byte, 1000), 0o640)
		os.Chtimes(paths[i], time.Unix(7, 0), time.Unix(7, 0))
	}
	s := &Sink{}
	s.gauges.unfinishedBytes.Store(1000)
	r := newRetainer(s, &Config{Dir: dir})
	r.scan()
	r.add(kept{paths[0], 1000, 7_900_000_000}, func() error { return nil })
	if r.add(kept{paths[1], 1000, 8e9}, func() error { return unix.EIO }) == nil {
		t.Error("the error of rename is lost")
	}
	r.merge()
	if len(r.files) != 3 || r.bytes != 3000 || r.unfinished != 0 || r.files[2].path != paths[0] {
		t.Errorf("%d bytes, %d unfinished, files %v", r.bytes, r.unfinished, r.files)
	}
}
