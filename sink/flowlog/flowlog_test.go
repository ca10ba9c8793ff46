package flowlog_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/leak"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/flowlog"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("FLOWLOG_TEST_WRITE"); dir != "" {
		writeForever(dir)
	}
	leak.Check(m)
}

// base is the begin of an interval and of a window.
var base = time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC).UnixNano()

const (
	second = int64(time.Second)
	minute = int64(time.Minute)
)

// newSession returns a session of eu-central-1 that is known.
func newSession(id uint32, name, account string) *packet.Session {
	return &packet.Session{ID: id, Name: name, VNI: id, Known: true, Workload: packet.Workload{
		AccountID: account, Region: "eu-central-1", InterfaceID: "eni-" + name,
	}}
}

// flow returns the record of a flow with packets both ways, the last at end, in
// the minute around it.
func flow(s *packet.Session, end int64, port uint16) *packet.Flow {
	begin := end - end%minute
	return &packet.Flow{
		Session: s, Begin: begin, End: begin + minute,
		Addr:     [2]packet.Addr{addr("10.0.1.163"), addr("203.0.113.9")},
		Port:     [2]uint16{port, 443},
		Protocol: packet.ProtocolTCP,
		Side: [2]packet.FlowSide{
			{Packets: 12, Bytes: 2384, First: begin, Last: end - 5*second, Direction: packet.Egress, TCPFlags: 0x02},
			{Packets: 9, Bytes: 800, First: begin + 1, Last: end, Direction: packet.Ingress, TCPFlags: 0x12, SYNACK: true},
		},
	}
}

func addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

// cut returns that of the minute that begins at begin.
func cut(begin int64) packet.Cut { return packet.Cut{Begin: begin, End: begin + minute} }

func open(t testing.TB, c flowlog.Config) *flowlog.Sink {
	t.Helper()
	s, err := flowlog.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// finish closes the sink and holds that its ledger balances with nothing
// pending.
func finish(t testing.TB, s *flowlog.Sink) {
	t.Helper()
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if l := s.Ledger(); l.Imbalance() != 0 || l.Pending != 0 {
		t.Errorf("ledger after Close: %+v, off by %d", l, l.Imbalance())
	}
}

// logger returns a logger and what it wrote.
func logger() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

// tree returns the contents of every file below dir but the lock, by path.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == ".lock" {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func names(files map[string]string) []string { return slices.Sorted(maps.Keys(files)) }

// unzip returns the text of a file, all of which must be one gzip member.
func unzip(t testing.TB, content string) string {
	t.Helper()
	r := strings.NewReader(content)
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if r.Len() > 0 {
		t.Errorf("%d bytes behind the gzip member", r.Len())
	}
	return string(b)
}

// lines returns the lines of all files, by the file's window and hash, without
// their headers.
func lines(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	files := tree(t, dir)
	for _, name := range names(files) {
		text := unzip(t, files[name])
		if strings.Contains(name, ".log.gz") {
			header, rest, _ := strings.Cut(text, "\n")
			if !strings.Contains(header, "account-id") {
				t.Errorf("%s begins with %q", name, header)
			}
			text = rest
		}
		all = slices.AppendSeq(all, strings.Lines(text))
	}
	return all
}
