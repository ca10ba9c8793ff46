package pcap_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// replayAll writes frames as one worker of a replay and returns the files, in
// the order of their names.
func replayAll(t *testing.T, c pcap.Config, frames []*packet.Frame) (s *pcap.Sink, contents [][]int64) {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	c.Replay = true
	s = open(t, c)
	for _, f := range frames {
		s.Offer(0, f)
		s.Mark(0, f.Order+1, 0)
	}
	finish(t, s)
	files := tree(t, c.Dir)
	for _, name := range names(files) {
		contents = append(contents, orders(t, files[name]))
	}
	return s, contents
}

func TestRotationEdges(t *testing.T) {
	const length, rec = 84, 100 // bytes of a frame, of a record
	second := func(n float64) int64 { return int64(n * 1e9) }
	tests := []struct {
		name   string
		rotate pcap.Rotate
		times  []int64 // after base; order is the index
		want   string
		cause  pcap.Cause
	}{
		{"none", pcap.Rotate{}, make([]int64, 4), "[[0 1 2 3]]", pcap.ByEnd},
		{"size one below two records", pcap.Rotate{Size: 24 + 2*rec - 1}, make([]int64, 3), "[[0] [1] [2]]", pcap.BySize},
		{"size of two records", pcap.Rotate{Size: 24 + 2*rec}, make([]int64, 3), "[[0 1] [2]]", pcap.BySize},
		{"size one above two records", pcap.Rotate{Size: 24 + 2*rec + 1}, make([]int64, 3), "[[0 1] [2]]", pcap.BySize},
		{"size below one record", pcap.Rotate{Size: 1}, make([]int64, 2), "[[0] [1]]", pcap.BySize},
		{"one packet", pcap.Rotate{Packets: 1}, make([]int64, 2), "[[0] [1]]", pcap.ByPackets},
		{"three packets", pcap.Rotate{Packets: 3}, make([]int64, 7), "[[0 1 2] [3 4 5] [6]]", pcap.ByPackets},
		{"time one below", pcap.Rotate{Every: time.Second}, []int64{0, second(1) - 1}, "[[0 1]]", pcap.ByEnd},
		{"time reached", pcap.Rotate{Every: time.Second}, []int64{0, second(1)}, "[[0] [1]]", pcap.ByTime},
		{"time from the first frame of each file", pcap.Rotate{Every: time.Second},
			[]int64{0, second(1.5), second(2.4), second(2.5)}, "[[0] [1 2] [3]]", pcap.ByTime},
		{"a time in the far future does not make a file of every frame", pcap.Rotate{Every: time.Second},
			[]int64{0, second(1e8), second(0.1), second(0.2), second(0.3)}, "[[0] [1 2 3 4]]", pcap.ByTime},
		{"the size comes before the time", pcap.Rotate{Size: 24 + rec, Every: time.Second}, []int64{0, 0}, "[[0] [1]]", pcap.BySize},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ses := session("s")
			var frames []*packet.Frame
			for i, at := range tt.times {
				f := frame(ses, int64(i), length)
				f.Time = base + at
				frames = append(frames, f)
			}
			s, got := replayAll(t, pcap.Config{Rotate: tt.rotate}, frames)
			if fmt.Sprint(got) != tt.want {
				t.Errorf("files hold %v, want %v", got, tt.want)
			}
			if s.Stats().Rotations[tt.cause] == 0 {
				t.Errorf("no rotation by %v: %v", tt.cause, s.Stats().Rotations)
			}
		})
	}
}

// In replay the clock is the capture's: another session's frames end a file.
func TestReplayRotatesByCaptureClock(t *testing.T) {
	a, b := session("a"), session("b")
	frames := []*packet.Frame{frame(a, 0, 60), frame(b, 1, 60), frame(a, 2, 60)}
	frames[1].Time = base + int64(time.Minute)
	frames[2].Time = base + int64(time.Second) // early, but the clock has moved on
	_, got := replayAll(t, pcap.Config{Rotate: pcap.Rotate{Every: time.Minute}}, frames)
	if want := "[[0] [2] [1]]"; fmt.Sprint(got) != want {
		t.Errorf("files hold %v, want %v", got, want)
	}
}

func TestLiveRotatesWithoutFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir, Rotate: pcap.Rotate{Every: time.Minute}})
		now := time.Now().UnixNano()
		f := frame(session("s"), now, 60)
		f.Time = now
		s.Offer(0, f)
		s.Mark(0, now, now)
		s.Mark(0, now+1e8, now+1e8) // the clock of an idle worker
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if got := names(tree(t, dir)); len(got) != 1 || !strings.HasSuffix(got[0], "_000001.pcap.partial") {
			t.Errorf("before the minute is over: %q", got)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := names(tree(t, dir)); len(got) != 1 || !strings.HasSuffix(got[0], "_000001.pcap") {
			t.Errorf("after the minute: %q", got)
		}
		finish(t, s)
		if r := s.Stats().Rotations; r[pcap.ByTime] != 1 || r[pcap.ByEnd] != 0 {
			t.Errorf("rotations %v", r)
		}
	})
}

func TestEndedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, pcap.Config{Dir: dir})
		old := session("s")
		now := time.Now().UnixNano()
		s.Offer(0, frame(old, now, 60))
		old.Ended.Store(true)
		next := session("s") // the same name, another identity
		s.Offer(0, frame(next, now+1, 60))
		s.Mark(0, now+2, now+2)
		s.Mark(0, now+1e9, now+1e9)
		time.Sleep(time.Second)
		synctest.Wait()
		got := names(tree(t, dir))
		if len(got) != 2 || !strings.HasSuffix(got[0], "000001.pcap") || !strings.HasSuffix(got[1], "000002.pcap.partial") {
			t.Errorf("files %q, want the first complete, the second not", got)
		}
		finish(t, s)
	})
}

func TestReconfigure(t *testing.T) {
	dir := t.TempDir()
	s := open(t, pcap.Config{Dir: dir})
	if err := s.Reconfigure(pcap.Rotate{Packets: -1}, pcap.Retain{}); err == nil {
		t.Error("negative packets accepted")
	}
	if err := s.Reconfigure(pcap.Rotate{}, pcap.Retain{Free: 1}); err == nil {
		t.Error("a file system that is all free accepted")
	}
	if err := s.Reconfigure(pcap.Rotate{Packets: 1}, pcap.Retain{}); err != nil {
		t.Error(err)
	}
	ses := session("s")
	s.Offer(0, frame(ses, 0, 60))
	s.Offer(0, frame(ses, 1, 60))
	finish(t, s)
	if got := names(tree(t, dir)); len(got) != 2 {
		t.Errorf("files %q, want 2", got)
	}
}

func TestSequenceContinues(t *testing.T) {
	dir := t.TempDir()
	os.Mkdir(filepath.Join(dir, "s"), 0o755)
	for _, name := range []string{
		"s_20200101T000000.000Z_000007.pcap",
		"s_20200101T000000.000Z_000041.pcap.zst", // compressed by somebody
		"s_20200101T000000.000Z_000900",          // no suffix: not ours
		"t_20200101T000000.000Z_000901.pcap",     // of another session
		"s_2020_000902.pcap",
		"s_20200101T000000.000Z_99.pcap",
	} {
		os.WriteFile(filepath.Join(dir, "s", name), nil, 0o600)
	}
	ses := session("s")
	for run := range 2 {
		s := open(t, pcap.Config{Dir: dir, Replay: true, Rotate: pcap.Rotate{Packets: 1}})
		s.Offer(0, frame(ses, 0, 60))
		s.Offer(0, frame(ses, 1, 60))
		finish(t, s)
		for i := range 2 {
			name := fmt.Sprintf("s/s_20260314T150926.535Z_%06d.pcap", 42+2*run+i)
			if tree(t, dir)[name] == "" {
				t.Errorf("run %d: no %s among %q", run, name, names(tree(t, dir)))
			}
		}
	}
}

// Files that appear under the next names while the sink runs are not replaced.
func TestNeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	ses := session("s")
	s := open(t, pcap.Config{Dir: dir, Replay: true, Rotate: pcap.Rotate{Packets: 1}})
	s.Offer(0, frame(ses, 0, 60))
	s.Mark(0, 1, 0)
	waitFor(t, func() bool { return s.Ledger().Stored == 1 })
	path := func(n int, suffix string) string {
		return filepath.Join(dir, "s", fmt.Sprintf("s_20260314T150926.535Z_%06d.pcap%s", n, suffix))
	}
	taken := map[string]bool{path(2, ""): true, path(3, ".partial"): true}
	for p := range taken {
		if err := os.WriteFile(p, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.Offer(0, frame(ses, 1, 60))
	finish(t, s)
	for p := range taken {
		if b, _ := os.ReadFile(p); string(b) != "mine" {
			t.Errorf("%s was overwritten", p)
		}
	}
	if b, err := os.ReadFile(path(4, "")); err != nil || len(read(t, string(b))) != 1 {
		t.Errorf("the second frame is not in file 4: %v; files %q", err, names(tree(t, dir)))
	}

	// One that appears between creation and completion is not replaced either.
	s = open(t, pcap.Config{Dir: dir, Replay: true})
	s.Offer(0, frame(ses, 2, 60))
	s.Mark(0, 3, 0)
	waitFor(t, func() bool { return s.Ledger().Stored == 1 })
	if err := os.WriteFile(path(5, ""), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Close(context.Background())
	if b, _ := os.ReadFile(path(5, "")); string(b) != "mine" {
		t.Error("a completed file replaced another")
	}
	if st := s.Stats(); st.FilesIncomplete != 1 {
		t.Errorf("stats %+v", st)
	}
}

func TestManySessionsFewDescriptors(t *testing.T) {
	dir := t.TempDir()
	s := open(t, pcap.Config{Dir: dir, Replay: true, OpenFiles: 4})
	sessions := make([]*packet.Session, 300)
	for i := range sessions {
		sessions[i] = session(fmt.Sprintf("vni-%d", i))
	}
	before := len(descriptors(t))
	var order int64
	want := make(map[string][]int64)
	for range 5 {
		for _, ses := range sessions {
			s.Offer(0, frame(ses, order, 60))
			want[ses.Name] = append(want[ses.Name], order)
			order++
		}
		s.Mark(0, order, 0)
		waitFor(t, func() bool { return s.Ledger().Pending == 0 })
		if n := s.Stats().FilesOpen; n != 4 {
			t.Errorf("%d files open, want 4", n)
		}
		if n := len(descriptors(t)); n > before+4 {
			t.Errorf("%d descriptors, %d before", n, before)
		}
	}
	finish(t, s)
	files := tree(t, dir)
	if len(files) != 300 {
		t.Fatalf("%d files, want 300", len(files))
	}
	for name, content := range files {
		if got := orders(t, content); !slices.Equal(got, want[filepath.Dir(name)]) {
			t.Errorf("%s holds %v, want %v", name, got, want[filepath.Dir(name)])
		}
	}
}
