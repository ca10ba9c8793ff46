package pcap_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/periscope-collector/periscope/internal/leak"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/pcap"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("PCAP_TEST_WRITE"); dir != "" {
		writeForever(dir)
	}
	if dir := os.Getenv("PCAP_TEST_BECOME"); dir != "" {
		becomeForever(dir)
	}
	leak.Check(m)
}

// base is the time of the first frame of most tests.
var base = time.Date(2026, 3, 14, 15, 9, 26, 535_000_000, time.UTC).UnixNano()

var sessionID uint32

func session(name string) *packet.Session {
	sessionID++
	return &packet.Session{ID: sessionID, Name: name}
}

// frame returns a frame of the given length whose bytes tell it from others.
func frame(s *packet.Session, order int64, length int) *packet.Frame {
	data := make([]byte, length)
	for i := range data {
		data[i] = byte(int64(i) * (order + 7))
	}
	if length >= 8 {
		binary.BigEndian.PutUint64(data, uint64(order))
	}
	return &packet.Frame{Data: data, Time: base + order, Order: order, Length: length, Session: s}
}

func open(t testing.TB, c pcap.Config) *pcap.Sink {
	t.Helper()
	s, err := pcap.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// finish closes the sink and holds that its ledger balances with nothing
// pending.
func finish(t testing.TB, s *pcap.Sink) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	l := s.Ledger()
	if l.Imbalance() != 0 || l.Pending != 0 {
		t.Errorf("ledger after Close: %+v, off by %d", l, l.Imbalance())
	}
}

// tree returns the contents of every file below dir but the lock, by path.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Type() == os.ModeNamedPipe || d.Name() == ".lock" {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func names(files map[string]string) []string { return slices.Sorted(maps.Keys(files)) }

// A record is what a reader finds in a file.
type record struct {
	time   int64
	length int
	data   string
}

// read walks a file by gopacket's reader, which must find nothing wrong.
func read(t testing.TB, file string) []record {
	t.Helper()
	r, err := pcapgo.NewReader(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if r.LinkType() != layers.LinkTypeEthernet {
		t.Errorf("link type %v", r.LinkType())
	}
	var records []record
	for {
		data, ci, err := r.ReadPacketData()
		if err == io.EOF {
			return records
		}
		if err != nil {
			t.Fatalf("after %d records: %v", len(records), err)
		}
		records = append(records, record{ci.Timestamp.UnixNano(), ci.Length, string(data)})
	}
}

// orders returns the orders of the frames in a file, which frame wrote there.
func orders(t testing.TB, file string) []int64 {
	t.Helper()
	var found []int64
	for _, r := range read(t, file) {
		found = append(found, int64(binary.BigEndian.Uint64([]byte(r.data))))
	}
	return found
}

func logger(t testing.TB) (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

// A salvaged is what Open said it found of an earlier process.
type salvaged struct{ finished, salvaged, cutBytes, removed, left int }

// reopen opens the sink of a directory as the next process does, and returns
// what it said of the files it found there.
func reopen(t testing.TB, c pcap.Config) (*pcap.Sink, salvaged) {
	t.Helper()
	log, text := logger(t)
	c.Log = log
	s := open(t, c)
	var got salvaged
	if at := strings.Index(text.String(), "finished="); at >= 0 {
		_, err := fmt.Sscanf(text.String()[at:], "finished=%d salvaged=%d cut_bytes=%d removed=%d left=%d",
			&got.finished, &got.salvaged, &got.cutBytes, &got.removed, &got.left)
		if err != nil {
			t.Fatalf("%v in %q", err, text)
		}
	}
	return s, got
}

// waitFor waits for what the sink's goroutines do in their own time.
func waitFor(t testing.TB, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("waited a minute in vain")
		}
	}
}

// descriptors returns what the process has open.
func descriptors(t testing.TB) []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			open = append(open, to)
		}
	}
	return open
}

func TestFileBytes(t *testing.T) {
	dir := t.TempDir()
	s := open(t, pcap.Config{Dir: dir, Replay: true, SnapLen: 20})
	ses := session("web")
	cut := frame(ses, 1, 21)
	cut.Length = 9001
	offered := []*packet.Frame{frame(ses, 0, 20), cut, frame(ses, 2, 0)}
	for _, f := range offered {
		s.Offer(0, f)
	}
	s.Mark(0, 3, 0)
	finish(t, s)

	var want bytes.Buffer
	for _, v := range []any{uint32(0xa1b23c4d), uint16(2), uint16(4), int32(0), uint32(0), uint32(20), uint32(1)} {
		binary.Write(&want, binary.LittleEndian, v)
	}
	for _, f := range offered {
		data := f.Data[:min(20, len(f.Data))]
		for _, v := range []any{uint32(f.Time / 1e9), uint32(f.Time % 1e9), uint32(len(data)), uint32(f.Length)} {
			binary.Write(&want, binary.LittleEndian, v)
		}
		want.Write(data)
	}
	files := tree(t, dir)
	name := "web/web_20260314T150926.535Z_000001.pcap"
	if len(files) != 1 || files[name] != want.String() {
		t.Fatalf("files %q, want %s with\n%x, got\n%x", names(files), name, want.String(), files[name])
	}
	if got := read(t, files[name]); len(got) != 3 || got[1].length != 9001 || got[1].time != cut.Time {
		t.Errorf("read back %+v", got)
	}
	if l := s.Ledger(); l.Offered != 3 || l.Stored != 3 {
		t.Errorf("ledger %+v", l)
	}
	if st := s.Stats(); st.FilesCompleted != 1 || st.FilesCompleting != 0 || st.FilesOpen != 0 || st.BufferBytes != 0 {
		t.Errorf("stats %+v", st)
	}
}
