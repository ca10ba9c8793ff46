package judge

import (
	"bufio"
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// A Row is what tshark tells of one frame.
type Row struct {
	// Captured and Length are the bytes in the file, and those on the wire.
	Captured, Length int

	// Second is when it came, in whole seconds since 1970 UTC, and Source the
	// Ethernet address it came from.
	Second int64
	Source string

	// Tags is the number of VLAN tags. Network and Transport are tshark's names
	// of what follows them, and of what follows the IP headers; "" is nothing.
	Tags               int
	Network, Transport string

	// Next is the protocol that an IPv6 header itself names: that of the first
	// extension header, if there is one.
	Next uint8

	// Stopped says that tshark found the frame malformed, or cut where it read.
	Stopped bool

	// Header holds the fields that tshark has as well. It has no offsets.
	Header packet.Header

	// Payload is the number of bytes behind the TCP or UDP header that these or
	// the IP header claim; -1 when nothing tells.
	Payload int
}

// dissected are the protocols tshark reads. All others are switched off, so that
// nothing guesses at payloads.
var dissected = []string{
	"frame", "pcap", "eth", "ethertype", "vlan", "ieee8021ad", "arp", "ip",
	"ipv6", "ipv6.hopopts", "ipv6.dstopts", "ipv6.routing", "ipv6.fraghdr", "ah",
	"tcp", "udp", "icmp", "icmpv6", "sctp", "data", "_ws.malformed", "_ws.short",
}

// extensions are the fields that say what follows an IPv6 extension header.
var extensions = map[string]string{
	"ipv6.hopopts": "ipv6.hopopts.nxt",
	"ipv6.dstopts": "ipv6.dstopts.nxt",
	"ipv6.routing": "ipv6.routing.nxt",
	"ipv6.fraghdr": "ipv6.fraghdr.nxt",
	"ah":           "ah.next_header",
}

var fields = []string{
	"frame.cap_len", "frame.len", "frame.time_epoch", "frame.protocols", "_ws.malformed", "_ws.short",
	"eth.src", "eth.type", "eth.len", "vlan.id", "vlan.etype", "ieee8021ad.id", "ieee8021ah.etype",
	"arp.src.proto_ipv4", "arp.dst.proto_ipv4",
	"ip.src", "ip.dst", "ip.proto", "ip.len", "ip.id", "ip.flags.mf", "ip.frag_offset",
	"ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.plen",
	"ipv6.fraghdr.more", "ipv6.fraghdr.offset", "ipv6.fraghdr.ident",
	"ipv6.hopopts.nxt", "ipv6.dstopts.nxt", "ipv6.routing.nxt", "ipv6.fraghdr.nxt", "ah.next_header",
	"tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.len",
	"udp.srcport", "udp.dstport", "udp.length", "sctp.srcport", "sctp.dstport",
	"icmp.type", "icmp.code", "icmpv6.type", "icmpv6.code",
}

// Tshark returns a row for each frame of the file. Neither fragments nor
// segments are reassembled: each frame is read on its own.
func Tshark(t testing.TB, path string) []Row {
	t.Helper()
	var rows []Row
	if rest := eachRow(t, path, func(r *Row) { rows = append(rows, *r) }); rest != "" {
		t.Fatalf("tshark: %d frames, and then %q", len(rows), rest)
	}
	return rows
}

// eachRow calls yield for each frame of the file. It returns what tshark prints
// behind the frames, for the -z options among args.
func eachRow(t testing.TB, path string, yield func(*Row), args ...string) (rest string) {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v: apt-get install tshark", err)
		}
		t.Skipf("%v: apt-get install tshark", err)
	}
	config := t.TempDir()
	var others []byte
	tshark(t, config, func(line string) {
		columns := strings.Split(strings.TrimSpace(line), "\t")
		if filter := columns[min(2, len(columns)-1)]; !slices.Contains(dissected, filter) {
			others = append(append(others, filter...), '\n')
		}
	}, "-G", "protocols")
	if err := os.WriteFile(filepath.Join(config, "disabled_protos"), others, 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-n", "-r", path, "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=,",
		"-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE"}, args...)
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	r := reader{t: t, values: make(map[string]string, len(fields))}
	var behind strings.Builder
	tshark(t, config, func(line string) {
		if behind.Len() > 0 || strings.HasPrefix(line, "=") {
			behind.WriteString(line)
			return
		}
		r.number++
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(columns) != len(fields) {
			t.Fatalf("tshark: frame %d: %d columns, want %d: %q", r.number, len(columns), len(fields), line)
		}
		for i, f := range fields {
			r.values[f] = columns[i]
		}
		row := r.row()
		yield(&row)
	}, args...)
	return behind.String()
}

// tshark calls yield for each line that tshark prints.
func tshark(t testing.TB, config string, yield func(line string), args ...string) {
	t.Helper()
	var complaint bytes.Buffer
	cmd := exec.Command("tshark", args...)
	cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+config)
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReaderSize(out, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		yield(line)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("tshark: %v: %s", err, complaint.String())
	}
}

// A reader turns one line of tshark's fields into a Row.
type reader struct {
	t      testing.TB
	number int
	values map[string]string
}

// nth returns occurrence n, counted from 0, of a field: "" if there is none.
func (r *reader) nth(field string, n int) string {
	all := strings.Split(r.values[field], ",")
	if n >= len(all) {
		return ""
	}
	return all[n]
}

// number of the first occurrence of a field, 0 if there is none.
func (r *reader) first(field string) uint64 { return r.parse(field, r.nth(field, 0)) }

func (r *reader) parse(field, value string) uint64 {
	switch value {
	case "", "False":
		return 0
	case "True":
		return 1
	}
	n, err := strconv.ParseUint(value, 0, 64)
	if err != nil {
		r.t.Fatalf("tshark: frame %d: %s: %v", r.number, field, err)
	}
	return n
}

func (r *reader) addr(field string) packet.Addr {
	value := r.nth(field, 0)
	if value == "" {
		return packet.Addr{}
	}
	a, err := netip.ParseAddr(value)
	if err != nil {
		r.t.Fatalf("tshark: frame %d: %s: %v", r.number, field, err)
	}
	return packet.AddrFrom(a)
}
