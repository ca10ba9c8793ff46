package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// A receiver is one thing to measure: a program that receives from b1 and keeps
// what it received in a directory.
type receiver struct {
	name string

	// args returns its command. Whatever it writes is bounded to 4 files of 128
	// MiB in dir, and it holds 64 MiB of packets that it has not read yet.
	args func(dir string) []string

	// ready is what it prints, on either output, when it receives.
	ready string

	// loop says that it is a loop that does the least, and no rival.
	loop bool

	// address says that b1 has one.
	address bool

	// signal ends it, settle after the last packet: as long as it may leave
	// packets unread that it does not read when it ends.
	signal syscall.Signal
	settle time.Duration

	// count returns how many packets it kept, and how many records of them it
	// lost beside. It reads what the program printed, or left in dir.
	count func(printed, dir string) (kept, lost uint64, err error)
}

// programs says where our own are.
type programs struct{ periscope, limit, blast, imix string }

// receivers returns all there are, in the order of the table.
func (p programs) receivers() []*receiver {
	const filter = "udp port 4789"
	all := []*receiver{
		p.collector("udp"), p.collector("afpacket"), p.collector("xdp"),
		{
			name: "tcpdump", ready: "listening on", signal: syscall.SIGINT,
			settle: 1200 * time.Millisecond, // a block that is not full waits for a second
			args: func(dir string) []string {
				return []string{"tcpdump", "-n", "-i", "b1", "-B", "65536", "-s", "0", "-Z", "root",
					"-w", filepath.Join(dir, "out"), "-C", "134", "-W", "4", filter}
			},
			count: printed(`(\d+) packets? captured`),
		},
		{
			name: "dumpcap", ready: "File:", signal: syscall.SIGINT, settle: 500 * time.Millisecond,
			args: func(dir string) []string {
				return []string{"dumpcap", "-i", "b1", "-B", "64", "-P", "-f", filter,
					"-w", filepath.Join(dir, "out"), "-b", "filesize:131072", "-b", "files:4"}
			},
			count: printed(`Packets captured: (\d+)`),
		},
		{
			name: "netsniff-ng", ready: "Running!", signal: syscall.SIGINT, settle: 500 * time.Millisecond,
			args: func(dir string) []string {
				return []string{"netsniff-ng", "-i", "b1", "-o", dir, "-F", "128MiB", "-O", "4",
					"-S", "64MiB", "-s", "-Q", filter}
			},
			count: printed(`(\d+) +packets passed filter`),
		},
	}
	for _, backend := range []string{"udp", "afpacket", "xdp"} {
		all = append(all, p.bare(backend, false), p.bare(backend, true))
	}
	return all
}

// collector returns periscope with everything on: sessions, decoding, capture
// files, flow records.
func (p programs) collector(backend string) *receiver {
	return &receiver{
		name: "periscope " + backend, ready: "collecting", address: true,
		signal: syscall.SIGTERM, settle: 100 * time.Millisecond,
		args: func(dir string) []string {
			return []string{p.periscope, "run", "--config", filepath.Join(dir, "periscope.yaml"),
				"--summary", filepath.Join(dir, "summary.json"), "--backend", backend, "--interface", "b1"}
		},
		count: readSummary,
	}
}

// configure writes what periscope is configured with.
func configure(dir string) error {
	for name, text := range map[string]string{
		"periscope.yaml": `
capture: {workers: 1}
sessions: {file: sessions.yaml}
sinks:
  pcap: {dir: captures, rotate: {size: 128MiB}, retain: {size: 512MiB}}
  flowlog: {dir: flows}
`,
		"sessions.yaml": "sessions: [{name: web, vni: 7, source: " + nearAddr + "}]\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// bare returns the loop that does the least.
func (p programs) bare(backend string, write bool) *receiver {
	r := &receiver{
		name: "limit " + backend + " discard", loop: true, ready: "ready", address: backend == "udp",
		signal: syscall.SIGINT, settle: 100 * time.Millisecond,
		args:  func(string) []string { return []string{p.limit, "-interface", "b1", backend} },
		count: printed(`(\d+) packets`),
	}
	if write {
		r.name = "limit " + backend + " write"
		r.args = func(dir string) []string { return []string{p.limit, "-interface", "b1", "-write", dir, backend} }
	}
	return r
}

// printed returns a count by what the last match of the pattern has in its
// first group.
func printed(pattern string) func(printed, dir string) (kept, lost uint64, err error) {
	re := regexp.MustCompile(pattern)
	return func(text, _ string) (uint64, uint64, error) {
		matches := re.FindAllStringSubmatch(text, -1)
		if matches == nil {
			return 0, 0, fmt.Errorf("no %q in %q", pattern, text)
		}
		n, err := strconv.ParseUint(matches[len(matches)-1][1], 10, 64)
		return n, 0, err
	}
}

// readSummary counts by periscope's own account: the frames in capture files,
// and the records that any other sink dropped.
func readSummary(_, dir string) (kept, lost uint64, err error) {
	text, err := os.ReadFile(filepath.Join(dir, "summary.json"))
	if err != nil {
		return 0, 0, err
	}
	var s struct {
		Balanced bool
		Sinks    map[string]struct {
			Stored  uint64
			Dropped map[string]uint64
		}
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return 0, 0, err
	}
	if !s.Balanced {
		return 0, 0, fmt.Errorf("the ledger is not balanced: %s", text)
	}
	for name, sink := range s.Sinks {
		if name == "pcap" {
			continue
		}
		for _, n := range sink.Dropped {
			lost += n
		}
	}
	return s.Sinks["pcap"].Stored, lost, nil
}
