package judge

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Line is what one end of a flow sent within an interval, as a flow log says.
type Line struct {
	Interface      string // "-" or "" if not known
	Protocol       uint8
	From, To       netip.AddrPort
	Packets, Bytes uint64
	Start, End     int64  // seconds since 1970 UTC
	Flags          int    // in text AWS's number, -1 for none; in JSON the TCP flags (RFC 9293)
	Direction      string // ingress, egress, or what stands for neither
	LostBytes      uint64 // JSON only: what the mirror never showed
}

// Fields is the format in which [FlowLogs] reads text.
const Fields = "${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes}" +
	" ${start} ${end} ${tcp-flags} ${flow-direction} ${log-status}"

// FlowLogs returns the lines of all files below a directory that periscope wrote
// as JSON, or as text with [Fields]. Lines of no flow (NODATA, SKIPDATA) are
// left out.
func FlowLogs(t testing.TB, dir string) []Line {
	t.Helper()
	var lines []Line
	EachFlowLog(t, dir, func(path, line string) {
		parse := parseText
		if strings.Contains(path, ".json.gz") {
			parse = parseJSON
		}
		lines = append(lines, parse(t, line)...)
	})
	return lines
}

// EachFlowLog calls f for every line of every flow-log file below a directory,
// of which there must be one.
func EachFlowLog(t testing.TB, dir string, f func(path, line string)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(e.Name(), ".gz") {
			return err
		}
		files++
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		plain, err := gzip.NewReader(file)
		if err != nil {
			return err
		}
		scanner := bufio.NewScanner(plain)
		for scanner.Scan() {
			f(path, scanner.Text())
		}
		return scanner.Err()
	})
	if err != nil || files == 0 {
		t.Fatalf("%s: %d files of flow logs: %v", dir, files, err)
	}
}

// SumLines returns the lines summed up.
func SumLines(lines []Line) Flows {
	flows := make(Flows)
	for _, l := range lines {
		flows.Add(l.Protocol, l.From, l.To, l.Packets, l.Bytes)
	}
	return flows
}

func parseText(t testing.TB, line string) []Line {
	t.Helper()
	c := strings.Fields(line)
	if want := strings.Count(Fields, "$"); len(c) != want {
		t.Fatalf("%d fields in %q, want %d", len(c), line, want)
	}
	if c[1] == "srcaddr" || c[12] != "OK" {
		return nil
	}
	var r record
	l := Line{
		Interface: c[0],
		From:      r.end(c[1], c[3]), To: r.end(c[2], c[4]),
		Protocol: uint8(r.number(c[5], 8)), Packets: r.number(c[6], 64), Bytes: r.number(c[7], 64),
		Start: int64(r.number(c[8], 63)), End: int64(r.number(c[9], 63)),
		Flags: -1, Direction: c[11],
	}
	if c[10] != "-" {
		l.Flags = int(r.number(c[10], 8))
	}
	if r.err != nil {
		t.Fatalf("%v in %q", r.err, line)
	}
	return []Line{l}
}

func parseJSON(t testing.TB, line string) []Line {
	t.Helper()
	type end struct {
		address              netip.Addr
		port                 uint16
		packets, bytes, lost uint64
		first, last          time.Time
		flags                string
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &all); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	if all["log_status"] != nil {
		return nil
	}
	get := func(key string, value any) {
		if text := all[key]; text != nil {
			if err := json.Unmarshal(text, value); err != nil {
				t.Fatalf("%s: %v in %s", key, err, line)
			}
		}
	}
	var l Line
	get("interface_id", &l.Interface)
	get("protocol", &l.Protocol)
	get("direction", &l.Direction)
	var ends [2]end
	for i, name := range []string{"initiator_", "responder_"} {
		e := &ends[i]
		get(name+"address", &e.address)
		get(name+"port", &e.port)
		get(name+"packets", &e.packets)
		get(name+"bytes", &e.bytes)
		get(name+"first_packet_at", &e.first)
		get(name+"last_packet_at", &e.last)
		get(name+"tcp_flags", &e.flags)
		get(name+"lost_bytes", &e.lost)
	}
	var lines []Line
	for i, e := range ends {
		other := ends[1-i]
		l.From, l.To = netip.AddrPortFrom(e.address, e.port), netip.AddrPortFrom(other.address, other.port)
		l.Packets, l.Bytes, l.LostBytes = e.packets, e.bytes, e.lost
		l.Start, l.End, l.Flags = e.first.Unix(), e.last.Unix(), 0
		for _, letter := range e.flags {
			l.Flags |= 1 << strings.IndexRune(letters, letter)
		}
		if e.packets != 0 || e.lost != 0 {
			lines = append(lines, l)
		}
		l.Direction = opposite[l.Direction]
	}
	return lines
}

// letters stand for the TCP flags, from the lowest bit on.
const letters = "FSRPAUEC"

var opposite = map[string]string{"ingress": "egress", "egress": "ingress"}
