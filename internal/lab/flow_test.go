package lab_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/judge"
	"github.com/periscope-collector/periscope/internal/lab"
)

// flowSessions explains both mirrors. The interface is named after its VNI.
const flowSessions = `sessions:
  - {name: web, vni: 101, source: 10.9.0.2, mac: "02:00:00:00:01:02", interface_id: eni-101}
  - {name: db, vni: 202, source: "fd00:9::2", mac: "02:00:00:00:02:02", interface_id: eni-202}
`

// flowSettings take the format, and what else the sink is given.
const flowSettings = `sessions: {file: sessions.yaml}
sinks: {flowlog: {dir: flows, format: %s, interval: 60s%s}}
`

// TestFlows holds flow logs, written while traffic is mirrored, against what
// tshark computes from tcpdump's files of the mirrored interfaces: every flow,
// each direction, field by field.
func TestFlows(t *testing.T) {
	lab.Need(t, "go", "ss", "tshark", "nfpcapd", "softflowd", "argus", "ra")
	program := build(t)
	for format, extra := range map[string]string{"json": "", "text": fmt.Sprintf(", fields: %q", judge.Fields)} {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			l, sight := collectFlows(t, program, dir, fmt.Sprintf(flowSettings, format, extra))
			lines := make(map[string][]judge.Line)
			for _, line := range judge.FlowLogs(t, filepath.Join(dir, "flows")) {
				lines[line.Interface] = append(lines[line.Interface], line)
			}
			for i, m := range l.Mirrors {
				name := fmt.Sprintf("eni-%d", m.VNI)
				want := judge.Lines(t, sight.capture(i), name, m.MAC, format == "text")
				sides := judge.CompareLines(t, name, lines[name], want)
				t.Logf("%s: %d lines for %d directions of flows, %d frames", name, len(lines[name]), sides, sight.sent[i])
				if sides < 40 {
					t.Errorf("%s: %d directions of flows, want 40 or more", name, sides)
				}
				sumUp(t, name, lines[name], sight.capture(i))
			}
			if len(lines) != len(l.Mirrors) {
				t.Errorf("%d interfaces, want %d", len(lines), len(l.Mirrors))
			}
		})
	}
}

// sumUp holds the lines, summed up, against the judges of flows, and those
// against each other.
func sumUp(t *testing.T, name string, lines []judge.Line, capture string) {
	t.Helper()
	truth := judge.Conversations(t, capture)
	judge.CompareFlows(t, name+" against tshark", judge.SumLines(lines).Fold(truth.Split), truth.Flows)
	for program, flows := range judge.Tools {
		judge.CompareFlows(t, program+" against tshark on "+name, flows(t, capture, &truth), truth.Flows)
	}
}

// collectFlows has the program keep flow logs while all kinds of traffic pass.
func collectFlows(t *testing.T, program, dir, settings string) (*lab.Lab, *sight) {
	t.Helper()
	l := lab.New(t)
	startServers(t, l)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l.Host.Start("", "env", serve+"=https", self)
	lab.Eventually(t, "the HTTPS server listens", func() bool {
		return l.Host.Command("curl", "-sfk", "https://127.0.0.1/1").Run() == nil
	})
	write(t, filepath.Join(dir, "periscope.yaml"), settings)
	write(t, filepath.Join(dir, "sessions.yaml"), flowSessions)
	collector := l.Collector.Start("", program, "run",
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
	misbehave(t, l, self)
	sight.settle()
	lab.Eventually(t, "the collector has read its sockets empty", func() bool { return unread(t, l.Collector) == 0 })
	if err := collector.Stop(syscall.SIGINT); err != nil {
		t.Fatalf("the collector ended with %v, want 0", err)
	}
	return l, sight
}

// misbehave has clients do what is not talking: TLS, of which nothing can be
// read, a connection reset in the middle, one refused, a half-open scan, and a
// datagram in fragments that nobody wants.
func misbehave(t *testing.T, l *lab.Lab, self string) {
	t.Helper()
	for _, m := range l.Mirrors {
		for _, host := range []netip.Addr{m.Host, m.Host6} {
			url := "https://" + netip.AddrPortFrom(host, 443).String()
			if got := l.Client.Run("curl", "-sSfk", url+"/100000"); len(got) != 100_000 {
				t.Errorf("%s: %d bytes, want 100,000", url, len(got))
			}
			if err := l.Client.Command("curl", "-s", "http://"+netip.AddrPortFrom(host, 9).String()).Run(); err == nil {
				t.Error("something answers on port 9")
			}
			for _, program := range []string{"reset", "scan", "datagram"} {
				l.Client.Run("env", serve+"="+program, self, host.String())
			}
		}
	}
}

// capture returns a file with the frames seen on the i-th interface while it
// was mirrored.
func (s *sight) capture(i int) string {
	s.t.Helper()
	b := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	for _, f := range s.frames(i) {
		b = traffic.AppendPcapRecord(b, f.time.UnixNano(), f.data, f.length)
	}
	name := filepath.Join(s.t.TempDir(), "seen.pcap")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return name
}
