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

	"github.com/periscope-collector/periscope/internal/lab"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// keepers makes n complete files of the given size in dir, one a minute before
// now and the last one a minute ago, and some that retention must not touch.
func keepers(t *testing.T, dir string, n, size int) {
	t.Helper()
	os.Mkdir(filepath.Join(dir, "s"), 0o750)
	now := time.Now()
	put := func(name string, size int, age time.Duration) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, make([]byte, size), 0o640); err != nil {
			t.Fatal(err)
		}
		os.Chtimes(path, now.Add(-age), now.Add(-age))
	}
	for i := range n {
		age := time.Duration(n-i) * time.Minute
		first := now.Add(-age).UTC().Format("20060102T150405.000Z")
		put(fmt.Sprintf("s/s_%s_%06d.pcap", first, i+1), size, age)
	}
	for _, name := range foreign {
		put(name, 1, 1000*time.Hour)
	}
}

// foreign files are old and not the sink's, or not complete ones.
var foreign = []string{
	"s/notes.pcap",
	"s/s_20200101T000000.000Z_000001.pcap.zst",
	"s/other_20200101T000000.000Z_000001.pcap",
	"s_20200101T000000.000Z_000001.pcap",
}

// left returns the sequence numbers of the files of session s, and holds that
// the foreign ones are there.
func left(t *testing.T, dir string) []string {
	t.Helper()
	files := tree(t, dir)
	for _, name := range foreign {
		if _, ok := files[name]; !ok {
			t.Errorf("%s was removed", name)
		}
		delete(files, name)
	}
	var numbers []string
	for _, name := range names(files) {
		numbers = append(numbers, strings.TrimLeft(strings.TrimSuffix(name[strings.LastIndex(name, "_")+1:], ".pcap"), "0"))
	}
	return numbers
}

func TestRetention(t *testing.T) {
	tests := []struct {
		name   string
		retain pcap.Retain
		want   []string
		cause  pcap.Cause
	}{
		{"nothing set", pcap.Retain{}, []string{"1", "2", "3", "4", "5"}, 0},
		{"size holds", pcap.Retain{Size: 5000}, []string{"1", "2", "3", "4", "5"}, 0},
		{"size one below", pcap.Retain{Size: 4999}, []string{"2", "3", "4", "5"}, pcap.BySize},
		{"size of two and a half", pcap.Retain{Size: 2500}, []string{"4", "5"}, pcap.BySize},
		{"size below one", pcap.Retain{Size: 1}, nil, pcap.BySize},
		{"age not reached", pcap.Retain{Age: 5*time.Minute + time.Second}, []string{"1", "2", "3", "4", "5"}, 0},
		{"age", pcap.Retain{Age: 3*time.Minute + 30*time.Second}, []string{"3", "4", "5"}, pcap.ByAge},
		{"size and age", pcap.Retain{Size: 1000, Age: 3*time.Minute + 30*time.Second}, []string{"5"}, pcap.BySize},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				keepers(t, dir, 5, 1000)
				s := open(t, pcap.Config{Dir: dir, Retain: tt.retain})
				synctest.Wait()
				if got := left(t, dir); !slices.Equal(got, tt.want) {
					t.Errorf("left %q, want %q", got, tt.want)
				}
				st := s.Stats()
				if st.RetainedFiles != len(tt.want) || st.RetainedBytes != int64(1000*len(tt.want)) {
					t.Errorf("stats %+v", st)
				}
				var removed uint64
				for _, n := range st.RemovedFiles {
					removed += n
				}
				if removed != uint64(5-len(tt.want)) || removed > 0 && st.RemovedFiles[tt.cause] == 0 {
					t.Errorf("removed %v", st.RemovedFiles)
				}
				finish(t, s)
			})
		})
	}
}

func TestRetentionByFreeSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := lab.Disk(t, 1<<20)
		keepers(t, dir, 8, 100<<10) // 80 % of it
		s := open(t, pcap.Config{Dir: dir, Retain: pcap.Retain{Free: 0.5}})
		synctest.Wait()
		if got := left(t, dir); !slices.Equal(got, []string{"5", "6", "7", "8"}) && !slices.Equal(got, []string{"4", "5", "6", "7", "8"}) {
			t.Errorf("left %q", got)
		}
		if st := s.Stats(); st.RemovedFiles[pcap.ByFree] < 3 {
			t.Errorf("removed %v", st.RemovedFiles)
		}
		finish(t, s)
	})
}

// What the sink completes itself is retained and removed as well, and what is
// being written counts but stays.
func TestRetentionOfOwnFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Files of 24 + 10 × 116 bytes; three fit.
		l := newLive(t, pcap.Config{Dir: t.TempDir(), Rotate: pcap.Rotate{Packets: 10}, Retain: pcap.Retain{Size: 3 * 1184}})
		for range 10 {
			l.offer(10, 100)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		got := names(tree(t, l.dir))
		if len(got) != 3 || !strings.HasSuffix(got[0], "_000008.pcap") || !strings.HasSuffix(got[2], "_000010.pcap.partial") {
			t.Errorf("left %q", got)
		}
		// 1 frame in 1.15 s gives a rate; 3,552 bytes at some 1 kB/s are seconds.
		if reach := l.sink.RetainedSeconds(); reach < 1 || reach > 60 {
			t.Errorf("reaches back %v s", reach)
		}
		if err := l.sink.Reconfigure(pcap.Rotate{}, pcap.Retain{Age: time.Minute}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got := names(tree(t, l.dir)); len(got) != 1 || l.sink.Stats().RemovedFiles[pcap.ByAge] != 2 {
			t.Errorf("left %q", got)
		}
		finish(t, l.sink)
	})
}

// A file that cannot be removed does not keep the others; one that others
// removed is no failure.
func TestRetentionGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := lab.Disk(t, 1<<20)
		os.Mkdir(filepath.Join(dir, "r"), 0o750)
		stuck := filepath.Join(dir, "r", "r_20200101T000000.000Z_000001.pcap")
		os.WriteFile(stuck, make([]byte, 1000), 0o640)
		old := time.Now().Add(-time.Hour)
		os.Chtimes(stuck, old, old)
		immutable(t, filepath.Join(dir, "r"), true)
		keepers(t, dir, 5, 1000)
		log, text := logger(t)
		s := open(t, pcap.Config{Dir: dir, Log: log, Retain: pcap.Retain{Size: 4000}})
		synctest.Wait()
		if _, err := os.Stat(stuck); err != nil || s.Stats().RemovedFiles[pcap.BySize] != 2 {
			t.Errorf("removed %v; %v", s.Stats().RemovedFiles, err)
		}
		first := names(tree(t, filepath.Join(dir, "s")))[2] // behind two foreign ones
		os.Remove(filepath.Join(dir, "s", first))
		s.Reconfigure(pcap.Rotate{}, pcap.Retain{Size: 2000})
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := strings.Count(text.String(), "could not be removed"); n != 1 {
			t.Errorf("said %d times:\n%s", n, text)
		}
		if st := s.Stats(); st.RetainedBytes > 2000 || st.RetainedFiles != 2 {
			t.Errorf("%+v", st)
		}
		immutable(t, filepath.Join(dir, "r"), false)
		finish(t, s)
	})
}

// A session's directory goes with its last file and comes back with the next
// frame. One that is a link, or holds anything else, stays.
func TestRetentionRemovesDirectories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, elsewhere := t.TempDir(), t.TempDir()
		l := newLive(t, pcap.Config{Dir: dir, Rotate: pcap.Rotate{Packets: 1}, Retain: pcap.Retain{Age: time.Minute}})
		os.Symlink(elsewhere, filepath.Join(dir, "link"))
		os.Mkdir(filepath.Join(dir, "mixed"), 0o750)
		os.WriteFile(filepath.Join(dir, "mixed", "notes"), nil, 0o640)
		for _, name := range []string{"s", "link", "mixed"} {
			l.session = session(name)
			l.offer(1, 100)
			l.session.Ended.Store(true)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got, _ := filepath.Glob(filepath.Join(dir, "*")); fmt.Sprint(got) != fmt.Sprintf("[%s/.lock %[1]s/link %[1]s/mixed]", dir) {
			t.Errorf("directories %q", got)
		}
		got, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
		if len(got) != 1 || filepath.Base(got[0]) != "notes" || l.sink.Stats().RemovedFiles[pcap.ByAge] != 3 {
			t.Errorf("files %q, removed %v", got, l.sink.Stats().RemovedFiles)
		}
		l.session = session("s")
		l.offer(1, 100)
		l.want(4, 0, 0)
		finish(t, l.sink)
		if got, _ := filepath.Glob(filepath.Join(dir, "s", "*.pcap")); len(got) != 1 {
			t.Errorf("files %q", got)
		}
	})
}

func TestReplayRemovesNothing(t *testing.T) {
	dir := t.TempDir()
	keepers(t, dir, 5, 1000)
	s := open(t, pcap.Config{Dir: dir, Replay: true, Retain: pcap.Retain{Size: 1, Age: 1, Free: 0.99}})
	s.Offer(0, frame(session("s"), 0, 60))
	finish(t, s)
	if got := left(t, dir); len(got) != 6 {
		t.Errorf("left %q", got)
	}
}
