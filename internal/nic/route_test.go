package nic

import (
	"strings"
	"testing"
)

const header4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"

func TestDefaultIPv4(t *testing.T) {
	for _, tt := range []struct{ name, table, want string }{
		{"empty", "", ""},
		{"header alone", header4, ""},
		{"one", header4 + "ens5\t00000000\t010200C0\t0003\t0\t0\t512\t00000000\t0\t0\t0\n", "ens5"},
		{"not the default", header4 + "ens5\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", ""},
		{"half of all addresses", header4 + "tun0\t00000000\t010200C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n", ""},
		{"lowest metric", header4 +
			"wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n" +
			"ens5\t00000000\t010200C0\t0003\t0\t0\t99\t00000000\t0\t0\t0\n" +
			"ens6\t00000000\t010200C0\t0003\t0\t0\t99\t00000000\t0\t0\t0\n", "ens5"},
		{"down", header4 + "ens5\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n", ""},
		{"unreachable", header4 + "*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n", ""},
		{"short line", header4 + "ens5\t00000000\n", ""},
		{"flags no number", header4 + "ens5\t00000000\t010200C0\tUG\t0\t0\t0\t00000000\t0\t0\t0\n", ""},
		{"metric no number", header4 + "ens5\t00000000\t010200C0\t0003\t0\t0\tlow\t00000000\t0\t0\t0\n", ""},
	} {
		if got := defaultIPv4([]byte(tt.table)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestDefaultIPv6(t *testing.T) {
	zero := strings.Repeat("0", 32)
	line := func(dest, length, source, metric, flags, name string) string {
		return dest + " " + length + " " + zero + " " + source + " fd000000000000000000000000000001 " +
			metric + " 00000003 00000000 " + flags + "     " + name + "\n"
	}
	for _, tt := range []struct{ name, table, want string }{
		{"one", line(zero, "00", "00", "00000400", "00000003", "ens5"), "ens5"},
		{"metric in hexadecimal", line(zero, "00", "00", "00000400", "00000003", "ens6") +
			line(zero, "00", "00", "00000064", "00000003", "ens5") +
			line(zero, "00", "00", "000000ff", "00000003", "ens7"), "ens5"},
		{"the reject route that every table ends with", line(zero, "00", "00", "ffffffff", "00200200", "lo"), ""},
		{"a prefix", line(zero, "40", "00", "00000100", "00000001", "ens5"), ""},
		{"another destination", line("fd"+zero[2:], "00", "00", "00000100", "00000001", "ens5"), ""},
		{"from some sources only", line(zero, "00", "40", "00000100", "00000001", "ens5"), ""},
		{"short line", zero + " 00\n", ""},
	} {
		if got := defaultIPv6([]byte(tt.table)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzRoutes(f *testing.F) {
	f.Add([]byte(header4 + "ens5\t00000000\t010200C0\t0003\t0\t0\t512\t00000000\t0\t0\t0\n"))
	f.Add([]byte(strings.Repeat("0", 32) + " 00 0 00 0 400 0 0 00000003 ens5\n"))
	f.Fuzz(func(t *testing.T, table []byte) {
		for _, name := range []string{defaultIPv4(table), defaultIPv6(table)} {
			if !strings.Contains(string(table), name) || len(strings.Fields(name)) > 1 {
				t.Errorf("%q is no name of the table", name)
			}
		}
	})
}
