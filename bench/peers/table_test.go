package main

import (
	"strings"
	"testing"
	"time"
)

// TestTable holds what is printed of made-up figures against what is to be read
// there.
func TestTable(t *testing.T) {
	s := results{
		limits: map[int]trial{504: {sent: 3_000_000, seconds: 1, cores: time.Second}},
		figures: map[int]map[string]*figures{504: {
			"tcpdump": {rates: []found{{rate: 400_000, passed: true}}, costs: []float64{1000}, cores: []float64{2000},
				anon: 1, twice: trial{sent: 1000, lost: 250, seconds: 1e-3}, twiceSure: true},
			"periscope afpacket": {rates: []found{{rate: 900_000, sender: true, passed: true}, {rate: 1_000_000, sender: true, passed: true}, {rate: 1_100_000, passed: true}},
				costs: []float64{500, 400, 600}, cores: []float64{1500}, ends: []float64{40.2}, anon: 30 << 20, twice: trial{sent: 2_000_000, seconds: 2}},
			"dumpcap":              {rates: []found{{rate: 5000}}, costs: []float64{2000}, cores: []float64{1}, missed: true},
			"limit afpacket write": {costs: []float64{250}, cores: []float64{1}},
		}},
		replay: []*run{{name: replayPcap, wall: []float64{3, 1, 2}, cpu: []float64{2}, anon: 501 << 20}, {name: copyPcap, wall: []float64{2, 2, 2}, cpu: []float64{2}}},
	}
	var b strings.Builder
	s.table(&b, 504, []string{"periscope afpacket", "tcpdump", "dumpcap", "limit afpacket write", "not measured"})
	s.replayTable(&b)
	s.goals(&b)
	for _, want := range []string{
		"504-byte frames; the sender alone makes 3,000,000 a second at 333 ns.",
		"| periscope afpacket | 1,000,000 S | 2.50 | 500 (400-600) | 0.50 | 40 | 1,500 | 0.0 % at 1.1x | 30 |",
		"| tcpdump | 400,000 | 1.00 | 1,000 (1,000-1,000) | 1.00 | 0 | 2,000 | 25.0 % | 1 |",
		"| dumpcap | below 5,000 |  | 2,000 (2,000-2,000) * | 2.00 | 0 | 1 |  | 0 |",
		"| limit afpacket write |  |  | 250 (250-250) | 0.25 | 0 | 1 |  | 0 |",
		"| `periscope replay --out DIR` | 2.00 (1.00-3.00) | 2.00 | 501 |",
		"| afpacket, 504 B: CPU to tcpdump | at most 0.5 | 0.50 | met |",
		"| afpacket, 504 B: CPU to dumpcap | at most 0.35 | 0.25 | met |",
		"| afpacket, 504 B: CPU to its limit loop, writing | at most 1.35 | 2.00 | missed |",
		"| afpacket, 504 B: rate to tcpdump | at least 1.3 | 2.50 | met |",
		"| replay, pcap per session: time to cp | at most 1.2 | 1.00 | met |",
		"| replay: anonymous memory, MiB | at most 500 | 501.00 | missed |",
	} {
		if !strings.Contains(b.String(), want+"\n") {
			t.Errorf("no line %q in\n%s", want, b.String())
		}
	}
	for _, absent := range []string{"not measured", "xdp", "1,450 B", "rate to dumpcap"} {
		if strings.Contains(b.String(), absent) {
			t.Errorf("%q, which was not measured, is in\n%s", absent, b.String())
		}
	}
}

// TestExcuse has a goal about a rate met where the sender was the limit, and says
// so; one that is reached is simply met.
func TestExcuse(t *testing.T) {
	for mine, want := range map[float64]string{200: "the sender's limit", 400: "met"} {
		s := results{figures: map[int]map[string]*figures{504: {
			"periscope xdp": {rates: []found{{rate: mine, sender: true, passed: true}}},
			"tcpdump":       {rates: []found{{rate: 100, passed: true}}},
		}}}
		var b strings.Builder
		s.goals(&b)
		if !strings.Contains(b.String(), "| xdp, 504 B: rate to tcpdump | at least 3 | ") || !strings.Contains(b.String(), want+" |\n") {
			t.Errorf("%v: no %q in\n%s", mine, want, b.String())
		}
	}
}
