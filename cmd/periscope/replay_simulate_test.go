package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mirrorFilters accept some of what newMirror has.
const mirrorFilters = `filters:
  - name: tcp-in
    rules:
      - {number: 1, action: accept, direction: ingress, protocol: tcp, source: 0.0.0.0/0, destination: 0.0.0.0/0}
  - name: udp-out
    rules:
      - {number: 1, action: accept, direction: egress, protocol: udp, source: 0.0.0.0/0, destination: 0.0.0.0/0}
`

// A simulation is the same whatever the number of workers, and stands beside the
// report, the account and the summary. What is wrong with the file is said before
// anything is read.
func TestReplaySimulates(t *testing.T) {
	dir := t.TempDir()
	mirror := writeFile(t, filepath.Join(dir, "mirror.pcap"), newMirror(2000).file)
	filters := writeFile(t, filepath.Join(dir, "filters.yaml"), []byte(mirrorFilters))
	one := runProgram(t, "replay", "--workers", "1", "--simulate-filter", filters, mirror)
	for _, want := range []string{"Simulation of " + filters, "\nsession 1, filter tcp-in ", "\nsession 2, filter udp-out ", "\nIt would save ", "\nreceived "} {
		if one.code != 0 || !strings.Contains(one.stdout, want) {
			t.Errorf("%q is not in %+v", want, one)
		}
	}
	summary := filepath.Join(dir, "summary.json")
	many := runProgram(t, "replay", "--workers", "4", "--simulate-filter", filters, "--summary", summary, mirror)
	if many.code != 0 || many.stdout != one.stdout {
		t.Errorf("4 workers: %+v\n1 worker: %+v", many, one)
	}
	text, err := os.ReadFile(summary)
	if err != nil {
		t.Fatal(err)
	}
	if l := readLedger(t, text); !l.Balanced || len(l.Sinks) != 0 {
		t.Errorf("%+v", l)
	}
	two := runProgram(t, "replay", "--report", "blind-spots", "--simulate-filter", filters, mirror)
	if report, simulation := strings.Index(two.stdout, "Blind spots: "), strings.Index(two.stdout, "\n\nSimulation of "); two.code != 0 || report != 0 || simulation < 0 {
		t.Errorf("with a report: %+v", two)
	}

	bad := writeFile(t, filepath.Join(dir, "bad.yaml"), []byte(strings.Replace(mirrorFilters, "tcp,", "TCP,", 1)))
	if r := runProgram(t, "replay", "--simulate-filter", bad, mirror); r.code != 2 || !strings.Contains(r.errorLine(t), "bad.yaml:4:67: filters[0].rules[0].protocol: ") {
		t.Errorf("a file with an error: %+v", r)
	}
	empty := writeFile(t, filepath.Join(dir, "empty.yaml"), []byte("filters: []\n"))
	if r := runProgram(t, "replay", "--simulate-filter", empty, mirror); r.code != 2 || !strings.Contains(r.errorLine(t), "no filter to simulate") {
		t.Errorf("no filter: %+v", r)
	}
	if r := runProgram(t, "replay", "--simulate-filter", filters, "--summary", "-", mirror); r.code != 2 || !strings.Contains(r.errorLine(t), "--simulate-filter and --summary -") {
		t.Errorf("two results on one output: %+v", r)
	}
}

// What the configuration keeps from sinks is mirrored all the same. Sessions have
// the names of the session file.
func TestReplaySimulatesAll(t *testing.T) {
	dir := t.TempDir()
	mirror := writeFile(t, filepath.Join(dir, "mirror.pcap"), newMirror(500).file)
	filters := writeFile(t, filepath.Join(dir, "filters.yaml"), []byte(mirrorFilters))
	config := writeFile(t, filepath.Join(dir, "periscope.yaml"), []byte(
		"filter: {file: filters.yaml, sessions: [{filter: tcp-in}]}\nkeep: [{keep: none}]\nsinks: {pcap: {dir: out}}\n"))
	plain := runProgram(t, "replay", "--simulate-filter", filters, mirror)
	r := runProgram(t, "replay", "--config", config, "--simulate-filter", filters, mirror)
	simulation := func(stdout string) string {
		text, _, _ := strings.Cut(stdout, "\nreceived ")
		return text
	}
	if r.code != 0 || !strings.Contains(r.stdout, "not delivered: filtered") || simulation(r.stdout) != simulation(plain.stdout) {
		t.Errorf("%+v\nwithout rules %+v", r, plain)
	}
	sessions := writeFile(t, filepath.Join(dir, "sessions.yaml"), []byte("sessions:\n  - {name: web, vni: 1}\n"))
	known := runProgram(t, "replay", "--sessions", sessions, "--simulate-filter", filters, mirror)
	if known.code != 0 || !strings.Contains(known.stdout, "\nweb ") {
		t.Errorf("%+v", known)
	}
}
