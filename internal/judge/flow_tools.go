package judge

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// Tools are the programs that account for flows, by name. Each reads an Ethernet
// pcap file of which truth is tshark's reading, and returns its own, made
// comparable: see the package comment.
var Tools = map[string]func(t testing.TB, path string, truth *Truth) Flows{
	"nfpcapd":   nfpcapd,
	"softflowd": softflowd,
	"argus":     argus,
}

func nfpcapd(t testing.TB, path string, truth *Truth) Flows {
	t.Helper()
	need(t, "nfpcapd", "nfdump")
	dir := t.TempDir()
	output(t, "nfpcapd", "-r", path, "-l", dir)
	flows := nfdump(t, dir).move(truth.extended).Fold(truth.Split)
	for k, later := range truth.later4 {
		flows[k] = flows[k].plus(later)
	}
	return flows
}

// nfdump sums up the flow files of a directory.
func nfdump(t testing.TB, dir string) Flows {
	t.Helper()
	return parseFlows(t, output(t, "nfdump", "-R", dir, "-q", "-N", "-6", "-A", "proto,srcip,dstip,srcport,dstport",
		"-o", "fmt:%pr,%sa,%da,%sp,%dp,%ipkt,%ibyt"))
}

func argus(t testing.TB, path string, truth *Truth) Flows {
	t.Helper()
	need(t, "argus", "ra")
	file := filepath.Join(t.TempDir(), "argus")
	output(t, "argus", "-r", path, "-w", file)
	flows := parseFlows(t, output(t, "ra", "-r", file, "-nn", "-u", "-c", ",", "-L", "-1",
		"-s", "proto", "saddr", "daddr", "sport", "dport", "spkts", "sbytes", "dpkts", "dbytes", "-", "ip", "or", "ipv6"))
	for k, s := range flows {
		for side := range s.Bytes {
			s.Bytes[side] -= packet.EthernetLen * s.Packets[side]
		}
		flows[k] = s
	}
	return flows.Fold(truth.Split)
}

// parseFlows reads lines of protocol, source, destination, their ports, packets
// and bytes, and in the other direction as well if the program has both.
func parseFlows(t testing.TB, text string) Flows {
	t.Helper()
	flows := make(Flows)
	for line := range strings.Lines(text) {
		var r record
		columns := strings.Split(strings.TrimSpace(line), ",")
		if len(columns) != 7 && len(columns) != 9 {
			t.Fatalf("%d columns in %q", len(columns), line)
		}
		for i := range columns {
			columns[i] = strings.TrimSpace(columns[i])
		}
		protocol := uint8(r.number(columns[0], 8))
		from, to := r.end(columns[1], ""), r.end(columns[2], "")
		if hasPorts(protocol) { // others have types and codes there, each in a way of its own
			from, to = r.end(columns[1], columns[3]), r.end(columns[2], columns[4])
		}
		flows.Add(protocol, from, to, r.number(columns[5], 64), r.number(columns[6], 64))
		if len(columns) == 9 {
			flows.Add(protocol, to, from, r.number(columns[7], 64), r.number(columns[8], 64))
		}
		if r.err != nil {
			t.Fatalf("%v in %q", r.err, line)
		}
	}
	return flows
}

// A record reads the columns of a line, and keeps the first error.
type record struct{ err error }

func (r *record) number(s string, bits int) uint64 {
	n, err := strconv.ParseUint(s, 0, bits)
	if err != nil && r.err == nil {
		r.err = err
	}
	return n
}

// end reads an address and a port; none is 0.
func (r *record) end(address, port string) netip.AddrPort {
	a, err := netip.ParseAddr(address)
	if err != nil && r.err == nil {
		r.err = err
	}
	if port == "" {
		return netip.AddrPortFrom(a, 0)
	}
	return netip.AddrPortFrom(a, uint16(r.number(port, 16)))
}

// need skips the test, or fails it where CI=true says that nothing may be
// skipped, unless every program is there.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			text := fmt.Sprintf("%v: run make tools", err)
			if os.Getenv("CI") == "true" {
				t.Fatal(text)
			}
			t.Skip(text)
		}
	}
}

func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	var complaint strings.Builder
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, complaint.String())
	}
	return string(out)
}
