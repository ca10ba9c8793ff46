package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

// keepWorkloads are what the rules below leave of the frames of each VNI.
var keepWorkloads = []struct {
	vni  uint32
	port uint16
	keep string // full, headers, none or filtered
}{
	{1, 443, "full"},     // service open
	{8, 8443, "maybe"},   // service mixed: none where the port is read, or cannot be read
	{2, 443, "headers"},  // label tier=card
	{3, 443, "none"},     // known, in no rule but the last
	{4, 443, "headers"},  // unknown, by VNI
	{5, 443, "filtered"}, // service narrow
	{6, 443, "none"},     // unknown, in no rule but the last
	{7, 443, "headers"},  // service open too, but not in this cluster
}

const (
	keepSessions = `sessions:
  - {name: open, vni: 1, ecs: {service: open, cluster: prod}}
  - {name: cards, vni: 2, ecs: {service: payments}, labels: {tier: card}}
  - {name: vault, vni: 3, labels: {tier: vault}}
  - {name: narrow, vni: 5, ecs: {service: narrow}}
  - {name: mixed, vni: 8, ecs: {service: mixed}}
  - {name: test, vni: 7, ecs: {service: open, cluster: test}}
`
	keepRules = `filter: {file: filters.yaml, sessions: [{service: narrow, filter: nothing}]}
keep:
  - {service: mixed, port: 8000-8999, keep: none}
  - {service: mixed, keep: full}
  - {service: open, cluster: prod, keep: full}
  - {label: tier=card, keep: headers}
  - {vni: 4, keep: headers}
  - {service: open, keep: headers}
  - {keep: none}
log: {level: debug}
`
	keepFilters = "filters: [{name: nothing}]\n"
)

// marker is 12 bytes that are nowhere else. Its payload is 8 of them in a row.
func marker(workload int, name string) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", workload, name))
	return sum[:12]
}

// keepDatagrams are the frames of every workload, of every kind, some of them
// truncated.
func keepDatagrams() (list [][]byte) {
	for i, w := range keepWorkloads {
		payload := func(name string) []byte { return bytes.Repeat(marker(i, name), 8) }
		for n, m := range traffic.NewMarked(w.port, payload) {
			list = append(list, vxlan(w.vni, m.Frame))
			if n%3 == 0 && len(m.Frame) > m.Headers+20 {
				list = append(list, vxlan(w.vni, m.Frame[:len(m.Frame)-7]))
			}
		}
	}
	return list
}

// writeKeep writes the files beside the configuration, and returns its sinks.
func writeKeep(t *testing.T, dir, url string) (splunk string) {
	t.Helper()
	writeToken(t, dir, splunkToken)
	writeFile(t, filepath.Join(dir, "sessions.yaml"), []byte(keepSessions))
	writeFile(t, filepath.Join(dir, "filters.yaml"), []byte(keepFilters))
	return fmt.Sprintf("splunk: {endpoints: [%q], token_file: hec.token, records: [flow, ledger], "+
		"frames: {mode: all, payload: 256B}, spool: {size: 64MiB, free: 0}}, flowlog: {format: json}", url)
}

// forms are how bytes may be written in a file, where they begin anywhere.
func forms(b []byte) (list [][]byte) {
	list = append(list, b, []byte(hex.EncodeToString(b)), bytes.ToUpper([]byte(hex.EncodeToString(b))),
		[]byte(strings.Trim(fmt.Sprintf("%q", b), `"`)))
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 { // of 3 bytes become 4 characters; the first and the last are others' too
			text := e.EncodeToString(append(make([]byte, offset), b...))
			list = append(list, []byte(text[(offset*8+5)/6:len(b)*8/6]))
		}
	}
	return list
}

// A haystack is all that a process left, by the kind of file.
type haystack map[string][]byte

func gather(t *testing.T, dir string, p *process) haystack {
	t.Helper()
	h := haystack{"log": []byte(p.log.String()), "stdout": bytes.Clone(p.stdout.Bytes())}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, _ := filepath.Rel(dir, path)
		kind, _, _ := strings.Cut(relative, "/")
		h[kind] = append(h[kind], data...)
		if strings.HasSuffix(path, ".gz") {
			zr, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				return err
			}
			text, err := io.ReadAll(zr)
			h[kind] = append(h[kind], text...)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// holds returns the kinds of files that hold a form of bytes.
func (h haystack) holds(b []byte) string {
	var kinds []string
	for _, kind := range []string{"captures", "spool", "flows", "log", "stdout", "summary.json"} {
		for _, form := range forms(b) {
			if bytes.Contains(h[kind], form) {
				kinds = append(kinds, kind)
				break
			}
		}
	}
	return strings.Join(kinds, " ")
}

// checkKept searches all there is for the payload of every frame.
func checkKept(t *testing.T, h haystack) {
	t.Helper()
	for _, kind := range []string{"captures", "spool", "flows", "log"} {
		if len(h[kind]) == 0 {
			t.Errorf("there is nothing in %s to search", kind)
		}
	}
	for i, w := range keepWorkloads {
		for _, m := range traffic.NewMarked(w.port, func(name string) []byte { return bytes.Repeat(marker(i, name), 8) }) {
			got := h.holds(marker(i, m.Name))
			switch {
			case w.keep == "maybe":
				// The next rule holds for what has no ports: full.
				if got != "" && !portless[m.Name] {
					t.Errorf("port %d, %s: its payload is in %s", w.port, m.Name, got)
				}
			case w.keep != "full":
				if got != "" {
					t.Errorf("VNI %d, %s, %s: its payload is in %s", w.vni, w.keep, m.Name, got)
				}
			case !strings.HasPrefix(got, "captures"):
				t.Errorf("VNI %d, %s, %s: its payload is in %q, which is not the captures", w.vni, w.keep, m.Name, got)
			case excerpted[m.Name] && got != "captures spool":
				t.Errorf("VNI %d, %s, %s: its payload is in %q, which is not the captures and the spool", w.vni, w.keep, m.Name, got)
			}
		}
	}
}

var (
	// portless are frames of a protocol without ports.
	portless = map[string]bool{"ICMP, the packet it is about": true, "a tunnel": true, "ICMPv6": true, "ARP with padding": true}

	// excerpted are some whose payload is in an event.
	excerpted = map[string]bool{"TCP": true, "UDP": true, "IPv6, TCP": true, "later fragment": true, "one VLAN tag": true,
		"unknown EtherType": true, "ICMP, the packet it is about": true}
)

// checkKeepLedger holds the account.
func checkKeepLedger(t *testing.T, l pipeline.Ledger, frames int) {
	t.Helper()
	each := uint64(frames / len(keepWorkloads))
	pcap := l.Sinks["pcap"]
	if l.Received.Packets != uint64(frames) || l.NotDelivered["filtered"] != each || l.Delivered.Packets != uint64(frames)-each {
		t.Errorf("%d frames: %+v", frames, l)
	}
	// Two workloads keep nothing, one nothing of a port.
	if n := pcap.Dropped["policy"]; n < 2*each || n >= 3*each || pcap.Offered != l.Delivered.Packets || pcap.Stored+n != pcap.Offered {
		t.Errorf("%d frames of each: %+v", each, pcap)
	}
	if l.Cut == 0 || l.Cut > 3*each {
		t.Errorf("%d cut, of 3 times %d", l.Cut, each)
	}
	if s := l.Sinks["splunk"]; s.Dropped["policy"] != pcap.Dropped["policy"] {
		t.Errorf("splunk %+v", s)
	}
}

// Of what shall not be kept there is no byte in any file, spool, event or log of
// a replay.
func TestReplayKeepsOnlyWhatItShall(t *testing.T) {
	t.Parallel()
	x := newIndexer(t, splunkToken, 0)
	x.down()
	dir, in := t.TempDir(), t.TempDir()
	sinks := writeKeep(t, dir, x.url())
	config := writeFile(t, filepath.Join(dir, "periscope.yaml"),
		fmt.Appendf(nil, "sessions: {file: sessions.yaml}\nsinks: {pcap: {}, %s}\n%s", sinks, keepRules))
	datagrams := keepDatagrams()
	file := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	for i, d := range datagrams {
		wire := traffic.AppendOuter(nil, keepSource, mirrorTarget, d)
		file = traffic.AppendPcapRecord(file, mirrorStart.UnixNano()+int64(i), wire, len(wire))
	}
	p := newProcess(t, "replay", "--config", config, "--workers", "3", "--summary", "-", writeFile(t, filepath.Join(in, "mirror.pcap"), file)).start()
	p.waitLog(`interrupt to leave them in the spool`, 1)
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != exitFailure {
		t.Fatalf("exit status %d: %s", code, p.log.String())
	}
	checkKeepLedger(t, readLedger(t, p.stdout.Bytes()), len(datagrams))
	checkKept(t, gather(t, dir, p))
}

var keepSource = netip.MustParseAddrPort("10.0.1.23:50000")

// So it is live.
func TestRunKeepsOnlyWhatItShall(t *testing.T) {
	t.Parallel()
	x := newIndexer(t, splunkToken, 0)
	x.down()
	s := setup{dir: t.TempDir(), session: "file: sessions.yaml", more: keepRules}
	s.sinks = writeKeep(t, s.dir, x.url())
	c := collectSplunk(t, s)
	from := dial(t, c.vxlan, "")
	datagrams := keepDatagrams()
	for _, d := range datagrams {
		write(t, from, d)
	}
	c.waitReceived(len(datagrams))
	l := c.interrupt()
	checkKeepLedger(t, l, len(datagrams))
	checkKept(t, gather(t, c.dir, c.process))
}

// The example of the page runs as written.
func TestKeepExample(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Filters and what to keep\n")
	section, _, _ = strings.Cut(section, "\n## ")
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(section, -1)
	if len(examples) != 2 {
		t.Fatalf("%d examples, want the configuration and the filter file", len(examples))
	}
	dir := t.TempDir()
	config := writeFile(t, filepath.Join(dir, "periscope.yaml"), []byte(examples[0][1]))
	if r := runProgram(t, "check", "--config", config); r.code != exitUsage || !strings.Contains(r.stderr, "filters.yaml: no such file") {
		t.Errorf("without the filter file: %+v", r)
	}
	filters := writeFile(t, filepath.Join(dir, "filters.yaml"), []byte(strings.Replace(examples[1][1], "name: public", "name: private", 1)))
	r := runProgram(t, "check", "--config", config)
	want := fmt.Sprintf(`filter.sessions[1].filter: "public" is not in %s, which holds no-health-checks, private; sinks.pcap.filter: "public" is not in `, filters)
	if r.code != exitUsage || !strings.Contains(r.stderr, want) {
		t.Errorf("with another filter: %+v\nwant %s", r, want)
	}
	writeFile(t, filters, []byte(examples[1][1]))
	if r := runProgram(t, "check", "--config", config); r.code != exitOK || !strings.Contains(r.stdout, "filter: no-health-checks") {
		t.Errorf("%+v", r)
	}
	m := newMirror(300)
	mirror := writeFile(t, filepath.Join(t.TempDir(), "mirror.pcap"), m.file)
	r = runProgram(t, "replay", "--config", config, "--summary", "-", mirror)
	if r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	l := readLedger(t, []byte(r.stdout))
	if s := l.Sinks["pcap"]; s.Dropped["policy"] == 0 || s.Stored == 0 || l.Sinks["flowlog"].Stored == 0 {
		t.Errorf("%+v", l)
	}
}
