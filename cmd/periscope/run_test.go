package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
)

// Every frame that is sent is in the files, once, under its session, and the
// ledger says so.
func TestRunKeepsEveryFrame(t *testing.T) {
	c := collect(t, setup{rotate: "size: 1MiB"})
	loads := []*load{newLoad(t, c.vxlan, 1, 0), newLoad(t, c.vxlan, 2, 0)}
	var wg sync.WaitGroup
	for _, l := range loads {
		wg.Go(func() { l.send(5000, 10_000) })
	}
	wg.Wait()
	c.waitReceived(20_000)
	metrics := c.metrics()
	l := c.stop()
	if l.Received.Packets != 20_000 || l.Sinks["pcap"].Stored != 20_000 || l.Lost.Socket != 0 {
		t.Errorf("%+v", l)
	}
	files := readTree(t, c.out)
	noPartial(t, files)
	if l.Late == 0 {
		inOrder(t, files)
	}
	once(t, sequences(t, files, "vni-1"), 0, 10_000)
	once(t, sequences(t, files, "vni-2"), 0, 10_000)
	if len(files) < 6 {
		t.Errorf("%d files, want one a MiB", len(files))
	}
	checkNames(t, c.out, files)
	for name, want := range map[string]float64{
		"periscope_received_packets_total":                              20_000,
		"periscope_delivered_packets_total":                             20_000,
		"periscope_ledger_imbalance_packets":                            0,
		`periscope_sink_stored_total{sink="pcap"}`:                      20_000,
		`periscope_session_bytes_total{session="vni-1",vni="1"}`:        float64(l.Sessions[0].Bytes),
		`periscope_lost_packets_total{where="socket"}`:                  0,
		`periscope_sessions{known="false"}`:                             2,
		`periscope_ready`:                                               1,
		`periscope_build_info{version="devel"}`:                         1,
		`periscope_not_delivered_packets_total{reason="panic"}`:         0,
		`periscope_sink_dropped_total{reason="queue_full",sink="pcap"}`: 0,
	} {
		if got, ok := metrics[name]; !ok || got != want {
			t.Errorf("%s is %v, there: %t; want %v", name, got, ok, want)
		}
	}
}

// checkNames checks names and modes of complete capture files.
func checkNames(t *testing.T, dir string, files []captureFile) {
	t.Helper()
	name := regexp.MustCompile(`^(.+)/(.+)_(\d{8}T\d{6}\.\d{3}Z)_(\d{6})\.pcap$`)
	for _, f := range files {
		m := name.FindStringSubmatch(f.path)
		if m == nil || m[1] != m[2] {
			t.Errorf("file name %s", f.path)
			continue
		}
		if first := f.records[0].time.UTC().Format("20060102T150405.000Z"); m[3] != first {
			t.Errorf("%s begins with a frame of %s", f.path, first)
		}
		mode(t, filepath.Join(dir, f.path), 0o640)
		mode(t, filepath.Join(dir, f.session), 0o750)
	}
	mode(t, dir, 0o750)
}

func mode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", path, got, want)
	}
}

// `periscope send` as a process of its own, to a collector with a flag each.
func TestRunFlags(t *testing.T) {
	out := filepath.Join(t.TempDir(), "elsewhere", "captures")
	c := collect(t, setup{args: []string{"--out", out, "--listen", "127.0.0.1:0", "--workers", "1", "--backend", "udp", "--interface", "lo"}})
	r := runProgram(t, "send", "--to", c.vxlan.String(), "--vni", "16777215", "--count", "100", "--rate", "0")
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("%+v", r)
	}
	c.waitReceived(100)
	c.stop()
	once(t, sequences(t, readTree(t, out), "vni-16777215"), 0, 100)
	if isExist(c.out) {
		t.Errorf("%s is there, --out is not", c.out)
	}
}

func TestRunPortInUse(t *testing.T) {
	c := collect(t, setup{})
	second := startRun(t, setup{listen: c.vxlan.String()})
	if code := second.wait(); code != exitFailure {
		t.Errorf("exit status %d", code)
	}
	r := result{stderr: second.log.String()}
	want := regexp.MustCompile(`^capture: listen udp ` + regexp.QuoteMeta(c.vxlan.String()) +
		`: address already in use: another collector, .*ss -ulpn`)
	if got := r.errorLine(t); !want.MatchString(got) {
		t.Errorf("%q", got)
	}
	// The first one still gets everything.
	newLoad(t, c.vxlan, 1, 0).send(0, 50)
	c.waitReceived(50)
	c.stop()
}

func TestRunDirectoryInUse(t *testing.T) {
	c := collect(t, setup{})
	newLoad(t, c.vxlan, 1, 0).send(0, 50)
	c.waitReceived(50)
	before := treeFiles(t, c.out)
	second := startRun(t, setup{dir: c.dir})
	if code := second.wait(); code != exitUsage {
		t.Errorf("exit status %d", code)
	}
	checkHolder(t, result{stderr: second.log.String()}, c)
	sameTree(t, treeFiles(t, c.out), before)
	if status, _ := c.get("/readyz"); status != http.StatusOK {
		t.Errorf("the owner's status is %d", status)
	}
	c.stop()
}
