package judge

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// A Truth is what tshark makes of a capture file: the flows that others are
// held to.
type Truth struct {
	// Flows has everything over IP. Where fragments passed between two ends
	// over a protocol, all of that is one flow without ports, as later
	// fragments have none.
	Flows Flows

	// Split says between which ends, without ports, fragments passed.
	Split map[Key]bool

	// later4 counts the fragments of IPv4 behind the first ones; its bytes are
	// those of their IP headers, without options. later6 are those of IPv6,
	// from protocol 0 without ports. extended are all packets with IPv6
	// extension headers, from the protocol that the IPv6 header names.
	later4           Flows
	later6, extended moves

	// Frames is the number of frames in the file, others than IP among them.
	Frames int
}

// Conversations returns tshark's reading of an Ethernet pcap file.
//
// Its conversation tables (-z conv) are exact in frames, but give bytes to two
// digits or so, those of frames; they leave out later fragments, those of IPv6
// by addresses too; and they have no ports but of TCP and UDP. So the sums are made of the
// fields of each frame, and the test fails unless the tables of the same run
// agree, in frames and, as far as they say, in bytes: by 5-tuple for TCP and
// UDP, by addresses for all of IP.
func Conversations(t testing.TB, path string) Truth {
	t.Helper()
	whole := make(Flows) // with the ports that each frame has
	tables := map[string]Flows{"tcp": {}, "udp": {}, "ip": {}, "ipv6": {}}
	truth := Truth{Split: make(map[Key]bool), later4: make(Flows), later6: make(moves), extended: make(moves)}
	rest := eachRow(t, path, func(r *Row) {
		truth.Frames++
		h := &r.Header
		if h.Version == 0 {
			return
		}
		from, to := netip.AddrPortFrom(h.Src.Netip(), h.SrcPort), netip.AddrPortFrom(h.Dst.Netip(), h.DstPort)
		whole.Add(h.Protocol, from, to, 1, uint64(h.IPLength))
		truth.odd(r, from, to)
		if h.Version == 4 || h.FragmentOffset == 0 {
			tables[r.Network].Add(0, from, to, 1, uint64(r.Length))
		}
		if r.Transport == "tcp" || r.Transport == "udp" {
			tables[r.Transport].Add(h.Protocol, from, to, 1, uint64(r.Length))
		}
	}, "-z", "conv,tcp", "-z", "conv,udp", "-z", "conv,ip", "-z", "conv,ipv6")
	for name, said := range parseTables(t, rest) {
		agree(t, name, said, tables[name])
	}
	truth.Flows = whole.Fold(truth.Split)
	return truth
}

// odd takes down a frame of which programs differ about where it belongs.
func (truth *Truth) odd(r *Row, from, to netip.AddrPort) {
	h := &r.Header
	bare, side := keyOf(h.Protocol, portless(from), portless(to))
	if h.Fragment() {
		truth.Split[bare] = true
	}
	later := h.FragmentOffset != 0
	if later && h.Version == 4 {
		truth.later4.Add(h.Protocol, portless(from), portless(to), 1, 20)
	}
	if later && h.Version == 6 {
		truth.later6.add(Key{0, bare.Ends}, bare, side, uint64(h.IPLength))
	}
	if h.Version == 6 && r.Next != h.Protocol {
		to, _ := keyOf(h.Protocol, from, to)
		truth.extended.add(Key{r.Next, bare.Ends}, to, side, uint64(h.IPLength))
	}
}

// A said is what a table says that one end sent to the other. Bytes are unit
// times a number of which half a step is not known.
type said struct {
	from, to      netip.AddrPort
	packets       uint64
	bytes, margin float64
}

// agree fails the test unless the table has the frames, and the bytes.
func agree(t testing.TB, name string, table []said, sums Flows) {
	t.Helper()
	protocol := map[string]uint8{"tcp": packet.ProtocolTCP, "udp": packet.ProtocolUDP}[name]
	got, want := make(Flows), make(Flows)
	margins := make(map[Key]float64)
	for _, s := range table {
		got.Add(protocol, s.from, s.to, s.packets, 0)
	}
	for k, s := range sums {
		s.Bytes = [2]uint64{}
		want[k] = s
	}
	if CompareFlows(t, "tshark: table "+name+" against fields", got, want) > 0 {
		return
	}
	bytes := make(map[Key]float64)
	for _, s := range table {
		k, _ := keyOf(protocol, s.from, s.to)
		bytes[k] += s.bytes
		margins[k] += s.margin
	}
	for k, s := range sums {
		if exact := float64(s.Bytes[0] + s.Bytes[1]); math.Abs(bytes[k]-exact) > margins[k] {
			t.Errorf("tshark: table %s: %v: %v bytes, ±%v; the fields say %v", name, k, bytes[k], margins[k], exact)
		}
	}
}

// parseTables reads the tables of -z conv by name. Each row is
//
//	ADDRESS:PORT <-> ADDRESS:PORT  frames bytes unit  frames bytes unit ...
//
// of which the first frames and bytes are those from the right to the left.
func parseTables(t testing.TB, text string) map[string][]said {
	t.Helper()
	tables := make(map[string][]said)
	name, header := "", map[string]string{"TCP Conversations": "tcp", "UDP Conversations": "udp", "IPv4 Conversations": "ip", "IPv6 Conversations": "ipv6"}
	for line := range strings.Lines(text) {
		if n := header[strings.TrimSpace(line)]; n != "" {
			name = n
			tables[name] = nil
		}
		columns := strings.Fields(line)
		if len(columns) < 9 || columns[1] != "<->" {
			continue
		}
		ports := name == "tcp" || name == "udp"
		left, err1 := parseEnd(columns[0], ports)
		right, err2 := parseEnd(columns[2], ports)
		back, err3 := parseSaid(right, left, columns[3:6])
		forth, err4 := parseSaid(left, right, columns[6:9])
		for _, err := range []error{err1, err2, err3, err4} {
			if err != nil {
				t.Fatalf("tshark: %v in %q", err, line)
			}
		}
		tables[name] = append(tables[name], back, forth)
	}
	if len(tables) != len(header) {
		t.Fatalf("tshark: %d tables, want %d", len(tables), len(header))
	}
	return tables
}

func parseEnd(s string, ports bool) (netip.AddrPort, error) {
	port := uint64(0)
	if ports {
		at := strings.LastIndexByte(s, ':')
		var err error
		if port, err = strconv.ParseUint(s[at+1:], 10, 16); err != nil {
			return netip.AddrPort{}, err
		}
		s = s[:at]
	}
	a, err := netip.ParseAddr(s)
	return netip.AddrPortFrom(a, uint16(port)), err
}

// units of tshark's numbers of bytes, which it rounds down to a whole one.
var units = map[string]float64{"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}

func parseSaid(from, to netip.AddrPort, columns []string) (said, error) {
	s := said{from: from, to: to}
	unit := units[columns[2]]
	if unit == 0 {
		return s, fmt.Errorf("unit %q", columns[2])
	}
	var err error
	if s.packets, err = strconv.ParseUint(columns[0], 10, 64); err != nil {
		return s, err
	}
	if s.bytes, err = strconv.ParseFloat(columns[1], 64); err != nil {
		return s, err
	}
	s.bytes *= unit
	if unit > 1 {
		s.margin = unit
	}
	return s, nil
}
