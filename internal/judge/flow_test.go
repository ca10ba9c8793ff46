package judge

import (
	"fmt"
	"net/netip"
	"testing"
)

// A silent test counts errors.
type silent struct {
	testing.TB
	errors int
}

func (s *silent) Helper()               {}
func (s *silent) Errorf(string, ...any) { s.errors++ }

func flowsOf(lines ...string) Flows {
	f := make(Flows)
	for _, line := range lines {
		var protocol uint8
		var from, to string
		var packets, bytes uint64
		if _, err := fmt.Sscan(line, &protocol, &from, &to, &packets, &bytes); err != nil {
			panic(err)
		}
		f.Add(protocol, netip.MustParseAddrPort(from), netip.MustParseAddrPort(to), packets, bytes)
	}
	return f
}

func TestCompareFlowsSeesDifferences(t *testing.T) {
	want := flowsOf("6 10.0.0.1:5 10.0.0.2:80 3 300", "6 10.0.0.2:80 10.0.0.1:5 2 200", "1 10.0.0.1:0 10.0.0.2:0 1 84")
	for _, c := range []struct {
		name   string
		got    Flows
		differ int
	}{
		{"the same, in another order and in parts", flowsOf("1 10.0.0.1:8 10.0.0.2:0 1 84", "6 10.0.0.2:80 10.0.0.1:5 2 200",
			"6 10.0.0.1:5 10.0.0.2:80 1 100", "6 10.0.0.1:5 10.0.0.2:80 2 200"), 0},
		{"nothing", Flows{}, 2},
		{"one missing", flowsOf("1 10.0.0.1:0 10.0.0.2:0 1 84"), 1},
		{"sides changed", flowsOf("6 10.0.0.2:80 10.0.0.1:5 3 300", "6 10.0.0.1:5 10.0.0.2:80 2 200", "1 10.0.0.1:0 10.0.0.2:0 1 84"), 1},
		{"another port", flowsOf("6 10.0.0.1:6 10.0.0.2:80 3 300", "6 10.0.0.2:80 10.0.0.1:6 2 200", "1 10.0.0.1:0 10.0.0.2:0 1 84"), 2},
		{"a byte more", flowsOf("6 10.0.0.1:5 10.0.0.2:80 3 301", "6 10.0.0.2:80 10.0.0.1:5 2 200", "1 10.0.0.1:0 10.0.0.2:0 1 84"), 1},
		{"a packet less", flowsOf("6 10.0.0.1:5 10.0.0.2:80 2 300", "6 10.0.0.2:80 10.0.0.1:5 2 200", "1 10.0.0.1:0 10.0.0.2:0 1 84"), 1},
	} {
		s := &silent{TB: t}
		if got := CompareFlows(s, c.name, c.got, want); got != c.differ || (s.errors > 0) != (c.differ > 0) {
			t.Errorf("%s: %d differences, %d errors, want %d", c.name, got, s.errors, c.differ)
		}
	}
}

func TestFold(t *testing.T) {
	split := make(map[Key]bool)
	k, _ := keyOf(17, netip.MustParseAddrPort("10.0.0.2:0"), netip.MustParseAddrPort("10.0.0.1:0"))
	split[k] = true
	got := flowsOf("17 10.0.0.1:5 10.0.0.2:7 3 300", "17 10.0.0.2:0 10.0.0.1:0 2 200", "17 10.0.0.2:7 10.0.0.1:9 1 100",
		"6 10.0.0.1:5 10.0.0.2:7 1 40", "17 10.0.0.3:5 10.0.0.2:7 1 28").Fold(split)
	want := flowsOf("17 10.0.0.1:0 10.0.0.2:0 3 300", "17 10.0.0.2:0 10.0.0.1:0 3 300",
		"6 10.0.0.1:5 10.0.0.2:7 1 40", "17 10.0.0.3:5 10.0.0.2:7 1 28")
	CompareFlows(t, "folded", got, want)
}

// The tables of tshark are read, and held against the sums.
func TestTables(t *testing.T) {
	const text = `================================================================================
IPv6 Conversations
IPv4 Conversations
10.0.0.1             <-> 10.0.0.2                   2 120 bytes       1000 10 kB         1002 10 kB         0.0        9.0
UDP Conversations
TCP Conversations
10.0.0.1:5           <-> 10.0.0.2:80                2 120 bytes       1000 10 kB         1002 10 kB         0.0        9.0
`
	for _, c := range []struct {
		name string
		sums Flows
		errs bool
	}{
		{"exact", flowsOf("6 10.0.0.1:5 10.0.0.2:80 1000 10900", "6 10.0.0.2:80 10.0.0.1:5 2 120"), false},
		{"other frames", flowsOf("6 10.0.0.1:5 10.0.0.2:80 1001 10900", "6 10.0.0.2:80 10.0.0.1:5 2 120"), true},
		{"another direction", flowsOf("6 10.0.0.2:80 10.0.0.1:5 1000 10900", "6 10.0.0.1:5 10.0.0.2:80 2 120"), true},
		{"more bytes than the table rounds off", flowsOf("6 10.0.0.1:5 10.0.0.2:80 1000 12200", "6 10.0.0.2:80 10.0.0.1:5 2 120"), true},
	} {
		s := &silent{TB: t}
		agree(s, "tcp", parseTables(t, text)["tcp"], c.sums)
		if (s.errors > 0) != c.errs {
			t.Errorf("%s: %d errors", c.name, s.errors)
		}
	}
}
