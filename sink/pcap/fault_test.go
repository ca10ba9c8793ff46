package pcap_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// A live run of one session in the fake time of synctest.
type live struct {
	t       *testing.T
	dir     string
	sink    *pcap.Sink
	session *packet.Session
	log     interface{ String() string }
}

func newLive(t *testing.T, c pcap.Config) *live {
	log, text := logger(t)
	c.Log = log
	return &live{t: t, dir: c.Dir, sink: open(t, c), session: session("s"), log: text}
}

// offer gives n frames and lets the writer take them; a second goes by, so that
// it tries again if it failed before.
func (l *live) offer(n, length int) {
	l.t.Helper()
	time.Sleep(1100 * time.Millisecond)
	now := time.Now().UnixNano()
	for i := range int64(n) {
		f := frame(l.session, now+i, length)
		f.Time = now + i
		l.sink.Offer(0, f)
	}
	l.sink.Mark(0, now+int64(n), now)
	l.sink.Mark(0, now+3e7, now+3e7)
	time.Sleep(50 * time.Millisecond)
	synctest.Wait()
	if ledger := l.sink.Ledger(); ledger.Imbalance() != 0 || ledger.Pending != 0 {
		l.t.Errorf("ledger %+v", ledger)
	}
}

func (l *live) want(stored, diskFull, io uint64) {
	l.t.Helper()
	got := l.sink.Ledger()
	if got.Stored != stored || got.Dropped[packet.DropDiskFull] != diskFull || got.Dropped[packet.DropIO] != io {
		l.t.Errorf("ledger %+v, want %d stored, %d disk_full, %d io_error", got, stored, diskFull, io)
	}
}

// inFiles returns how many frames the directory holds, all of it readable.
func (l *live) inFiles() (frames uint64) {
	for _, content := range tree(l.t, l.dir) {
		frames += uint64(len(read(l.t, content)))
	}
	return frames
}

func TestDiskFullAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := lab.Disk(t, 256<<10)
		l := newLive(t, pcap.Config{Dir: dir})
		l.offer(100, 984) // 100 kB
		l.want(100, 0, 0)
		l.offer(200, 984) // 200 kB more than fits
		first := l.sink.Ledger()
		if first.Stored <= 100 || first.Dropped[packet.DropDiskFull] == 0 || l.inFiles() != first.Stored {
			t.Errorf("full: %+v, %d frames in the files", first, l.inFiles())
		}
		for range 3 {
			l.offer(10, 9000)
		}
		if st := l.sink.Stats(); st.Failing != 1 || st.WriteErrors[packet.DropDiskFull] != 4 ||
			!strings.Contains(l.log.String(), "no space") {
			t.Errorf("stats %+v", st)
		}
		if n := strings.Count(l.log.String(), "cannot be written"); n != 1 {
			t.Errorf("said %d times:\n%s", n, l.log)
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=1m"); err != nil {
			t.Fatal(err)
		}
		l.offer(100, 984)
		got := l.sink.Ledger()
		if got.Stored < first.Stored+100 || l.sink.Stats().Failing != 0 {
			t.Errorf("with room again: %+v", got)
		}
		finish(t, l.sink)
		if n := l.inFiles(); n != got.Stored || !strings.Contains(l.log.String(), "written again") {
			t.Errorf("%d frames in the files, %d stored; log\n%s", n, got.Stored, l.log)
		}
	})
}

// A disk that is full from the start: no empty files, no numbers used up.
func TestDiskFullFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := lab.Disk(t, 64<<10)
		filler := filepath.Join(dir, "filler")
		l := newLive(t, pcap.Config{Dir: dir})
		os.Mkdir(filepath.Join(dir, "s"), 0o750)
		os.WriteFile(filler, make([]byte, 1<<20), 0o600)
		for range 3 {
			l.offer(2, 5000)
		}
		l.want(0, 6, 0)
		if got := names(tree(t, dir)); !slices.Equal(got, []string{"filler"}) {
			t.Errorf("files %q", got)
		}
		os.Remove(filler)
		l.offer(2, 5000)
		l.want(2, 6, 0)
		finish(t, l.sink)
		if got := names(tree(t, dir)); len(got) != 1 || !strings.HasSuffix(got[0], "_000001.pcap") {
			t.Errorf("files %q", got)
		}
	})
}

func TestFileTakenAway(t *testing.T) {
	takeAway := map[string]func(t *testing.T, dir, file string){
		"file removed": func(t *testing.T, dir, file string) { os.Remove(file) },
		"file replaced": func(t *testing.T, dir, file string) {
			os.Rename(file, dir+"/elsewhere")
			os.WriteFile(file, nil, 0o600)
		},
		"FIFO in its place": func(t *testing.T, dir, file string) {
			os.Remove(file)
			if err := unix.Mkfifo(file, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"file cut":          func(t *testing.T, dir, file string) { os.Truncate(file, 30) },
		"session moved":     func(t *testing.T, dir, file string) { os.Rename(filepath.Dir(file), dir+"/elsewhere") },
		"session removed":   func(t *testing.T, dir, file string) { os.RemoveAll(filepath.Dir(file)) },
		"directory removed": func(t *testing.T, dir, file string) { os.RemoveAll(dir) },
	}
	for name, act := range takeAway {
		for _, openFiles := range []int{1, 256} { // with 1 the file is closed in between
			t.Run(fmt.Sprintf("%s, %d open", name, openFiles), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					dir := filepath.Join(t.TempDir(), "captures")
					l := newLive(t, pcap.Config{Dir: dir, OpenFiles: openFiles})
					l.offer(3, 100)
					file := filepath.Join(dir, names(tree(t, dir))[0])
					if openFiles == 1 {
						one := l.session
						l.session = session("other")
						l.offer(1, 100)
						l.session = one
					}
					before := l.sink.Ledger().Stored
					act(t, dir, file)
					l.offer(5, 100)
					l.want(before+5, 0, 0)
					finish(t, l.sink)
					files := tree(t, dir)
					var found int
					for n, content := range files {
						if strings.HasPrefix(n, "s/") && strings.HasSuffix(n, "000002.pcap") {
							found = len(read(t, content))
						}
					}
					if found != 5 {
						t.Errorf("%d frames in the second file, want 5; files %q", found, names(files))
					}
					if _, err := os.Stat(filepath.Join(dir, ".lock")); err != nil && name != "session removed" {
						t.Error(err)
					}
				})
			})
		}
	}
}

func TestSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLive(t, pcap.Config{Dir: t.TempDir(), Sync: time.Second})
		for range 5 {
			l.offer(3, 100)
		}
		os.RemoveAll(filepath.Join(l.dir, "s")) // while there is something to sync
		l.offer(3, 100)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		finish(t, l.sink)
		if strings.Contains(l.log.String(), "could not be synced") {
			t.Errorf("log\n%s", l.log)
		}
	})
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, pcap.Config{Dir: t.TempDir()})
		before := s.Progress()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := s.Progress() - before; n < 10 {
			t.Errorf("%d steps in an idle second, want 10 or more", n)
		}
		finish(t, s)
	})
}

func TestNothingStaysOpen(t *testing.T) {
	before := descriptors(t)
	dir := t.TempDir()
	s := open(t, pcap.Config{Dir: dir, Sync: time.Millisecond})
	for i := range int64(10) {
		s.Offer(0, frame(session(fmt.Sprint(i)), i, 60))
	}
	finish(t, s)
	for _, path := range descriptors(t) {
		if strings.HasPrefix(path, dir) {
			t.Errorf("%s is open; before: %q", path, before)
		}
	}
}
