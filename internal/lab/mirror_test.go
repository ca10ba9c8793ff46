package lab_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/periscope-collector/periscope/internal/judge"
	"github.com/periscope-collector/periscope/internal/lab"
)

// sessions explains the first mirror's VNI; the second is unknown.
const sessions = `sessions:
  - name: web
    vni: 101
    source: 10.9.0.2
    mac: 02:00:00:00:01:02
`

// settings rotate often enough that a session has several files.
const settings = `sessions:
  file: sessions.yaml
sinks:
  pcap:
    dir: captures
    rotate:
      size: 4MiB
`

// TestMirror has real programs talk over interfaces that a real kernel mirrors,
// and holds the collector's files against what tcpdump saw on the interfaces:
// byte for byte, and in order per direction of a flow. tshark then judges what
// decode makes of them.
//
// Each backend takes what arrives; those with rings leave the sockets nothing.
func TestMirror(t *testing.T) {
	for _, backend := range []string{"udp", "afpacket", "xdp"} {
		t.Run(backend, func(t *testing.T) { testMirror(t, backend) })
	}
}

func testMirror(t *testing.T, backend string) {
	lab.Need(t, "go", "ss", "tshark")
	program := build(t)
	l := lab.New(t)
	startServers(t, l)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "periscope.yaml"), settings)
	write(t, filepath.Join(dir, "sessions.yaml"), sessions)
	collector := l.Collector.Start("", program, "run", "--backend", backend, "--interface", "u0",
		"--config", filepath.Join(dir, "periscope.yaml"), "--summary", filepath.Join(dir, "summary.json"))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the collector said:\n%s", collector.Output())
		}
	})
	lab.Eventually(t, "the collector is ready", func() bool {
		return l.Collector.Command("curl", "-sf", "http://127.0.0.1:9477/readyz").Run() == nil
	})
	sight := watch(t, l)
	l.Connect()
	talk(t, l)
	sight.settle()
	lab.Eventually(t, "the collector has read its sockets empty", func() bool { return unread(t, l.Collector) == 0 })
	if err := collector.Stop(syscall.SIGINT); err != nil {
		t.Fatalf("the collector ended with %v, want 0", err)
	}

	late := checkSummary(t, filepath.Join(dir, "summary.json"), sight.sent)
	for i, name := range []string{"web", "vni-202"} {
		files, err := filepath.Glob(filepath.Join(dir, "captures", name, name+"_*.pcap"))
		if err != nil || len(files) < 2 {
			t.Errorf("%s: files %q, want more than one: %v", name, files, err)
		}
		frames := readFrames(t, files...)
		for i := 1; i < len(frames); i++ {
			if frames[i].time.Before(frames[i-1].time) {
				late--
			}
		}
		if late < 0 {
			t.Errorf("%s: frames are out of order, more than were counted as late", name)
		}
		compare(t, name, frames, sight.frames(i))
		judged := 0
		for _, file := range files {
			judged += judge.Compare(t, file)
		}
		if judged != sight.sent[i] {
			t.Errorf("%s: tshark read %d frames, want %d", name, judged, sight.sent[i])
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "captures", "*", "*.partial")); len(left) != 0 {
		t.Errorf("unfinished files: %q", left)
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// build returns the program, with the race detector in it.
func build(t *testing.T) string {
	t.Helper()
	return buildCommand(t, "periscope")
}

func buildCommand(t *testing.T, command string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), command)
	out, err := exec.Command("go", "build", "-race", "-pgo=off", "-o", name, "../../cmd/"+command).CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return name
}

// unread returns how many bytes wait in the collector's sockets.
func unread(t *testing.T, collector *lab.Namespace) int {
	t.Helper()
	total := 0
	for line := range strings.Lines(collector.Run("ss", "-H", "-u", "-l", "-n", "sport", "=", ":4789")) {
		n, err := strconv.Atoi(strings.Fields(line)[1])
		if err != nil {
			t.Fatalf("ss printed %q: %v", line, err)
		}
		total += n
	}
	return total
}

// A tally is a count of the summary.
type tally struct {
	Name    string `json:"name"`
	VNI     uint32 `json:"vni"`
	Packets int    `json:"packets"`
	Bytes   int    `json:"bytes"`
}

// A summary is what run writes at its end, as far as the tests look.
type summary struct {
	Received, Delivered tally
	NotDelivered        map[string]int `json:"not_delivered"`
	InFlight            int            `json:"in_flight"`
	LostBeforeUs        map[string]int `json:"lost_before_us"`
	Truncated, Late     int
	Sessions            []tally
	Sinks               map[string]struct {
		Offered, Stored, Pending int
		Dropped                  map[string]int
	}
	Balanced bool
}

func readSummary(t *testing.T, name string) (s summary) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatalf("%v in\n%s", err, b)
	}
	return s
}

// checkSummary holds the ledger against the frames that were mirrored, and
// returns how many came late.
func checkSummary(t *testing.T, name string, sent [2]int) (late int) {
	t.Helper()
	s := readSummary(t, name)
	all := sent[0] + sent[1]
	pcap := s.Sinks["pcap"]
	got := []int{s.Received.Packets, s.Delivered.Packets, sum(s.NotDelivered), s.InFlight, sum(s.LostBeforeUs), s.Truncated,
		pcap.Offered, pcap.Stored, pcap.Pending, sum(pcap.Dropped)}
	want := []int{all, all, 0, 0, 0, 0, all, all, 0, 0}
	if !s.Balanced || !slices.Equal(got, want) {
		t.Errorf("ledger is %v, want %v, balanced: %+v", got, want, s)
	}
	for _, want := range []tally{{Name: "web", VNI: 101, Packets: sent[0]}, {Name: "vni-202", VNI: 202, Packets: sent[1]}} {
		if !slices.ContainsFunc(s.Sessions, func(t tally) bool { t.Bytes = 0; return t == want }) {
			t.Errorf("sessions lack %+v: %+v", want, s.Sessions)
		}
	}
	return s.Late
}

func sum(counts map[string]int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}
