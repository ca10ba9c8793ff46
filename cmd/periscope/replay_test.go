package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

// A replayed is what `periscope replay` left.
type replayed struct {
	result
	out    string
	ledger pipeline.Ledger
}

// replayMirror replays into a directory of its own, with rotation by size
// and time, and sessions.
func replayMirror(t *testing.T, stdin []byte, args ...string) replayed {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "sessions.yaml"), []byte(mirrorSessions))
	config := writeFile(t, filepath.Join(dir, "replay.yaml"), []byte(`
sessions: {file: sessions.yaml}
sinks: {pcap: {dir: out, rotate: {size: 512KiB, every: 20s}, open_files: 3}}
`))
	r := replayed{out: filepath.Join(dir, "out")}
	r.result = runWith(t, stdin, append([]string{"replay", "--config", config, "--summary", "-"}, args...)...)
	if r.stdout != "" {
		r.ledger = readLedger(t, []byte(r.stdout))
	}
	return r
}

func sameTree(t *testing.T, got, want map[string][32]byte) {
	t.Helper()
	names := func(m map[string][32]byte) []string { return slices.Sorted(maps.Keys(m)) }
	if !slices.Equal(names(got), names(want)) {
		t.Errorf("files %q\nwant  %q", names(got), names(want))
		return
	}
	for _, name := range names(want) {
		if got[name] != want[name] && filepath.Base(name) != ".lock" {
			t.Errorf("%s differs", name)
		}
	}
}

// The same packets give the same files, byte for byte, whatever the number of
// workers, and however the input is packed or comes.
func TestReplayIsDeterministic(t *testing.T) {
	const packets = 50_000 // 100 s of the capture's clock, some 20 MB
	m := newMirror(packets)
	path := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), m.file)
	one := replayMirror(t, nil, "--workers", "1", path)
	if one.code != 0 {
		t.Fatalf("%+v", one)
	}
	want := treeFiles(t, one.out)
	t.Run("content", func(t *testing.T) { checkMirrorTree(t, m, one) })
	for name, replay := range map[string]func(t *testing.T) replayed{
		"2 workers":        func(t *testing.T) replayed { return replayMirror(t, nil, "--workers", "2", path) },
		"8 workers":        func(t *testing.T) replayed { return replayMirror(t, nil, "--workers", "8", path) },
		"gzip":             func(t *testing.T) replayed { return replayMirror(t, nil, packed(t, m.file, ".gz")) },
		"zstd":             func(t *testing.T) replayed { return replayMirror(t, nil, packed(t, m.file, ".zst")) },
		"standard input":   func(t *testing.T) replayed { return replayMirror(t, m.file, "-") },
		"packed and piped": func(t *testing.T) replayed { return replayMirror(t, compress(t, m.file, ".gz"), "-") },
	} {
		t.Run(name, func(t *testing.T) {
			r := replay(t)
			if r.code != 0 {
				t.Fatalf("%+v", r)
			}
			sameTree(t, treeFiles(t, r.out), want)
			if r.stdout != one.stdout {
				t.Errorf("the summary differs: %s\nwant %s", r.stdout, one.stdout)
			}
		})
	}
}

// checkMirrorTree checks what a replay of a mirror file left.
func checkMirrorTree(t *testing.T, m *mirror, r replayed) {
	t.Helper()
	l := r.ledger
	n := uint64(m.frames)
	if l.Received.Packets != uint64(len(m.times)) || l.Delivered.Packets != n || l.Sinks["pcap"].Stored != n ||
		l.NotDelivered["not_tunnel"] != uint64(len(m.times))-n {
		t.Errorf("%d packets with %d frames: %+v", len(m.times), m.frames, l)
	}
	files := readTree(t, r.out)
	noPartial(t, files)
	checkNames(t, r.out, files)
	seen := sequences(t, files)
	once(t, seen, 0, 0)
	if len(seen) != m.frames {
		t.Errorf("%d frames in the files, want %d", len(seen), m.frames)
	}
	bySession := make(map[string]int)
	for _, f := range files {
		bySession[f.session]++
		if size := fileSize(t, filepath.Join(r.out, f.path)); size > 512<<10 {
			t.Errorf("%s has %d bytes", f.path, size)
		}
		for _, rec := range f.records {
			n, _ := traffic.Sequence(rec.data)
			if !rec.time.Equal(m.times[n]) || rec.length != len(rec.data) {
				t.Fatalf("%s: frame %d has time %s and length %d of %d", f.path, n, rec.time, len(rec.data), rec.length)
			}
		}
	}
	want := []string{"db%2Fone", "tms-0123456789abcdef0", "vni-2", "vni-4", "vni-5", "web"}
	if got := slices.Sorted(maps.Keys(bySession)); !slices.Equal(got, want) {
		t.Errorf("sessions %q, want %q", got, want)
	}
	for _, s := range want {
		if bySession[s] < 5 {
			t.Errorf("%d files of %s, want 5 or more: rotated every 20 s of 100 s", bySession[s], s)
		}
	}
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// The fields of the summary are those that are promised, and no others.
func TestReplaySummary(t *testing.T) {
	m := newMirror(1000)
	path := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), m.file)
	summary := filepath.Join(t.TempDir(), "summary.json")
	out := filepath.Join(t.TempDir(), "out")
	r := runProgram(t, "replay", "--out", out, "--summary", summary, path)
	if r.code != 0 || !strings.HasSuffix(r.stdout, "\nthe ledger balances\n") {
		t.Fatalf("%+v", r)
	}
	if !strings.Contains(r.stderr, "captures="+out) {
		t.Errorf("the sink is not named: %s", r.stderr)
	}
	data, err := os.ReadFile(summary)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	fields(t, "summary", got, "received", "delivered", "not_delivered", "in_flight", "lost_before_us", "truncated", "late",
		"reserved_bits", "anomalies", "sessions", "sinks", "balanced")
	fields(t, "received", got["received"], "packets", "bytes")
	fields(t, "delivered", got["delivered"], "packets", "bytes")
	fields(t, "not_delivered", got["not_delivered"], "not_tunnel")
	fields(t, "lost_before_us", got["lost_before_us"], "socket", "ring", "nic")
	fields(t, "anomalies", got["anomalies"])
	fields(t, "sinks", got["sinks"], "pcap")
	fields(t, "sinks.pcap", got["sinks"].(map[string]any)["pcap"], "offered", "stored", "pending", "dropped")
	sessions := got["sessions"].([]any)
	if len(sessions) != mirrorVNIs {
		t.Errorf("%d sessions", len(sessions))
	}
	for i, s := range sessions {
		fields(t, "session", s, "name", "vni", "packets", "bytes", "ingress", "egress", "truncated", "known", "not_delivered")
		if name := s.(map[string]any)["name"]; name != fmt.Sprintf("vni-%d", i+1) {
			t.Errorf("session %d is %v", i, name)
		}
	}
	l := readLedger(t, data)
	if l.Delivered.Bytes == 0 || l.Received.Bytes <= l.Delivered.Bytes {
		t.Errorf("bytes received %d, delivered %d", l.Received.Bytes, l.Delivered.Bytes)
	}
}

func fields(t *testing.T, name string, value any, want ...string) {
	t.Helper()
	object, ok := value.(map[string]any)
	got := slices.Sorted(maps.Keys(object))
	slices.Sort(want)
	if !ok || !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", name, got, want)
	}
}

// Without a sink it only counts, and says so.
func TestReplayCounts(t *testing.T) {
	m := newMirror(300)
	dir := t.TempDir()
	p := newProcess(t, "replay", writeFile(t, filepath.Join(dir, "mirror.pcap"), m.file))
	p.cmd.Dir = dir
	if code := p.start().wait(); code != 0 {
		t.Fatal(code)
	}
	delivered := regexp.MustCompile(fmt.Sprintf(`(?m)^delivered +%d packets`, m.frames))
	if !strings.Contains(p.log.String(), "--out DIR") || !delivered.MatchString(p.stdout.String()) {
		t.Errorf("log %s\nstdout %s", &p.log, &p.stdout)
	}
	if files := treeFiles(t, dir); len(files) != 1 {
		t.Errorf("it wrote files: %v", slices.Sorted(maps.Keys(files)))
	}
}

// A second replay into the same directories adds files with everything once
// more; it changes none.
func TestReplayDoesNotOverwrite(t *testing.T) {
	m := newMirror(2000)
	path := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), m.file)
	out, flows := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "flows")
	var before, flowsBefore map[string][32]byte
	for i := range 2 {
		if r := runProgram(t, "replay", "--out", out, "--flows", flows, path); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		files := readTree(t, out)
		noPartial(t, files)
		if got := records(files); got != (i+1)*m.frames {
			t.Errorf("replay %d: %d records", i, got)
		}
		after := treeFiles(t, out)
		for name, hash := range before {
			if after[name] != hash && filepath.Base(name) != ".lock" {
				t.Errorf("%s was changed", name)
			}
		}
		before = after

		times := make(map[[32]byte]int) // that a content is there
		flowsAfter := treeFiles(t, flows)
		for name, hash := range flowsAfter {
			if filepath.Ext(name) == ".gz" {
				times[hash]++
			}
		}
		for name, hash := range flowsBefore {
			if flowsAfter[name] != hash && filepath.Base(name) != ".lock" {
				t.Errorf("%s was changed", name)
			}
		}
		for _, n := range times {
			if n != i+1 {
				t.Errorf("replay %d: flow logs are there %d times", i, n)
			}
		}
		if len(times) == 0 {
			t.Error("no flow logs")
		}
		flowsBefore = flowsAfter
	}
}

func TestReplayBareVNI(t *testing.T) {
	file, want := capturedFrames(200, traffic.LinkEthernet)
	path := writeFile(t, filepath.Join(t.TempDir(), "frames.pcap"), file)
	r := replayMirror(t, nil, "--bare-vni", "77", path)
	if r.code != 0 {
		t.Fatalf("%+v", r)
	}
	files := readTree(t, r.out)
	if len(files) != 1 || files[0].session != "vni-77" || len(files[0].records) != len(want) {
		t.Fatalf("%d files, %d records", len(files), records(files))
	}
	for i, rec := range files[0].records {
		if !bytes.Equal(rec.data, want[i]) {
			t.Errorf("frame %d differs", i)
		}
	}
	// Without the flag the same file holds nothing for the tunnel ports.
	if r := replayMirror(t, nil, path); r.code != 0 || r.ledger.NotDelivered["not_tunnel"] != 200 {
		t.Errorf("%+v", r)
	}
}

// A thousand times the capture's speed is no other result.
func TestReplayPace(t *testing.T) {
	m := newMirror(2000) // 4 s
	path := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), m.file)
	fast := replayMirror(t, nil, path)
	paced := replayMirror(t, nil, "--pace", "1000x", path)
	if fast.code != 0 || paced.code != 0 {
		t.Fatalf("%+v\n%+v", fast, paced)
	}
	sameTree(t, treeFiles(t, paced.out), treeFiles(t, fast.out))
	if paced.stdout != fast.stdout {
		t.Errorf("%s\n%s", paced.stdout, fast.stdout)
	}
}
