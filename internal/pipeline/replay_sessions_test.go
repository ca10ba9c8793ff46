package pipeline

import (
	"compress/gzip"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// A holder is a task that has the mirrored address for a time.
type holder struct {
	name        string
	mac         byte
	from, until time.Duration // until 0 is open
}

// Three tasks in turn have one address, an hour between them, the third one as soon
// as the second is gone.
var holders = []holder{
	{"web-aaaaaaaa", 1, 0, 10 * time.Minute},
	{"web-bbbbbbbb", 2, 70 * time.Minute, 80 * time.Minute},
	{"db-cccccccc", 3, 80 * time.Minute, 0},
}

// heldInTurn is a capture of them, one frame each 5 s, with a frame of nobody's in
// the gap and a broadcast at the very begin of each tenure.
func heldInTurn(t testing.TB) (file string, frames map[string]int) {
	_, mirrored, peer := traffic.Interface()
	frame := func(dst, src byte) []byte {
		f := traffic.AppendOuter(nil, netip.AddrPortFrom(mirrored.Netip(), 1000+uint16(src)), netip.AddrPortFrom(peer.Netip(), 53), make([]byte, 30))
		copy(f, []byte{dst, 0, 0, 0, 0, dst, 0x0a, 0, 0, 0, 0, src})
		return f
	}
	b := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	frames = make(map[string]int)
	for i, h := range holders {
		if i == 1 {
			b = appendMirrored(b, 30*time.Minute, 7, frame(0x0a, 1))
			frames["vni-7"]++
		}
		until := h.until
		if until == 0 {
			until = h.from + 5*time.Minute
		}
		b = appendMirrored(b, h.from, 7, frame(0xff, h.mac))
		frames[h.name]++
		for at := h.from; at < until; at += 5 * time.Second {
			b = appendMirrored(b, at, 7, frame(0x0a, h.mac))
			frames[h.name]++
		}
	}
	return writeCapture(t, b), frames
}

// kept writes a journal of the holders, each learnt in two statements.
func kept(t testing.TB) string {
	t.Helper()
	_, mirrored, _ := traffic.Interface()
	path := filepath.Join(t.TempDir(), "sessions.journal")
	j, err := journal.Open(path, journal.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range holders {
		e := session.Entry{Name: "tms-1", VNI: 7, Source: mirrored, From: began + int64(h.from), Learned: true,
			Workload: packet.Workload{InterfaceID: "eni-" + h.name, SessionID: "tms-1"}}
		full := e
		full.Name, full.MAC, full.Workload.TaskARN = h.name, [6]byte{0x0a, 5: h.mac}, "arn:"+h.name
		full.Workload.Service, _, _ = strings.Cut(h.name, "-")
		if h.until != 0 {
			full.Until = began + int64(h.until)
		}
		if err := j.Append([]session.Entry{e, full}); err != nil {
			t.Fatal(err)
		}
	}
	silent := session.Entry{Name: "silent", VNI: 8, Source: mirrored, Until: began, Learned: true}
	if err := j.Append([]session.Entry{silent}); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// replayHeld replays a capture with a journal into pcap and flow-log files.
func replayHeld(t *testing.T, file, sessions, dir string, workers int, log *slog.Logger) (Ledger, error) {
	t.Helper()
	cfg := config.Default()
	cfg.Sessions.File = sessions
	cfg.Capture.Workers = workers
	return replayInto(t, dir, cfg, ReplayConfig{Paths: []string{file}, BareVNI: -1}, log)
}

// replayInto replays into pcap and flow-log files below dir.
func replayInto(t *testing.T, dir string, cfg config.Config, what ReplayConfig, log *slog.Logger) (Ledger, error) {
	t.Helper()
	cfg.Sinks.PCAP.Dir = filepath.Join(dir, "frames")
	flows := config.DefaultFlowLog()
	flows.Dir, flows.Format = filepath.Join(dir, "flows"), "json"
	cfg.Sinks.FlowLog = &flows
	r, err := NewReplay(cfg, what, log)
	if err != nil {
		return Ledger{}, err
	}
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.Ledger(), nil
}

// An old capture is stamped with who held the address then, in frames and flows,
// and the same whatever the number of workers.
func TestReplayWithJournal(t *testing.T) {
	file, frames := heldInTurn(t)
	sessions := kept(t)
	var first map[string]string
	for _, workers := range []int{1, 2, 5} {
		dir := t.TempDir()
		l, err := replayHeld(t, file, sessions, dir, workers, discard)
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]int)
		for _, s := range l.Sessions {
			got[s.Name] = int(s.Packets)
		}
		if !l.Balanced || !maps.Equal(got, frames) {
			t.Errorf("%d workers: sessions %v, want %v", workers, got, frames)
		}
		files := tree(t, dir)
		if first == nil {
			first = files
		} else if !maps.Equal(files, first) {
			t.Errorf("%d workers give other files than one: %v, %v", workers, files, first)
		}
		if workers != 1 {
			continue
		}
		entries, err := os.ReadDir(filepath.Join(dir, "frames"))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			if e.IsDir() {
				names = append(names, e.Name())
			}
		}
		if want := slices.Sorted(maps.Keys(frames)); !slices.Equal(names, want) {
			t.Errorf("directories %v, want %v", names, want)
		}
		// Each flow of a task, told by its port, has that task.
		lines := flowLines(t, dir, files)
		for _, h := range holders {
			for line := range strings.Lines(lines) {
				port := strings.Contains(line, fmt.Sprintf(`:%d,`, 1000+int(h.mac))) || strings.Contains(line, fmt.Sprintf(`"%d"`, 1000+int(h.mac)))
				if task := strings.Contains(line, h.name); port != task && !strings.Contains(line, "NODATA") && !strings.Contains(line, "vni-7") {
					t.Errorf("%s: %s", h.name, line)
				}
			}
			if !strings.Contains(lines, h.name) {
				t.Errorf("no flow of %s in:\n%s", h.name, lines)
			}
		}
	}
}

// flowLines returns the lines of all flow-log files.
func flowLines(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, ".gz") {
			continue
		}
		f, err := os.Open(dir + name)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&all, z); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return all.String()
}

// A journal that is damaged gives what is left of it, and says so; one of another
// version is refused.
func TestReplayWithDamagedJournal(t *testing.T) {
	file, frames := heldInTurn(t)
	sessions := kept(t)
	text, err := os.ReadFile(sessions)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	lines[3], lines[4] = "damaged\n", strings.Replace(lines[4], ":", ";", 1) // both of the second task
	if err := os.WriteFile(sessions, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	l, err := replayHeld(t, file, sessions, t.TempDir(), 2, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range l.Sessions {
		if want := frames[s.Name]; s.Name == "vni-7" && int(s.Packets) != want+frames["web-bbbbbbbb"] || s.Name != "vni-7" && int(s.Packets) != want {
			t.Errorf("%s has %d packets", s.Name, s.Packets)
		}
	}
	if !strings.Contains(log.String(), "damaged lines of the session journal") || !strings.Contains(log.String(), "lines=2") {
		t.Errorf("logged %s", &log)
	}
	later := strings.Replace(string(text), `"version":1`, `"version":2`, 1)
	if err := os.WriteFile(sessions, []byte(later), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := replayHeld(t, file, sessions, t.TempDir(), 1, discard); err == nil || !strings.Contains(err.Error(), "a journal of version 2") {
		t.Errorf("another version: %v", err)
	}
}
