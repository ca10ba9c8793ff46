package nic

import (
	"maps"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for name, want := range map[string]string{
		"bw_in_allowance_exceeded":      "bw_in_allowance_exceeded",
		"bw_out_allowance_exceeded":     "", // of what is sent
		"conntrack_allowance_available": "", // a gauge
		"rx_drops":                      "rx_drops",
		"queue_0_rx_drops":              "",
		"rx0_drops":                     "rxN_drops",
		"rx17_drops":                    "rxN_drops",
		"rx_queue_3_drops":              "rx_queue_N_drops",
		"rx_queue_3_xdp_drops":          "", // what a program wanted dropped
		"rx_dropped":                    "",
		"rx_missed_errors":              "rx_missed_errors",
		"":                              "",
	} {
		if got, _ := match(name); got != want {
			t.Errorf("%q is taken for %q, want %q", name, got, want)
		}
	}
}

// TestLoss reads an interface that lost something before, is reset, gets a
// counter more, and goes away.
func TestLoss(t *testing.T) {
	readings := []map[string]uint64{
		{"rx_drops": 100, "pps_allowance_exceeded": 7},
		{"rx_drops": 103, "pps_allowance_exceeded": 9},
		{"rx_drops": 2, "pps_allowance_exceeded": 0}, // reset, and then 2
		{"rx_drops": 2, "pps_allowance_exceeded": 0, "rx_missed_errors": 50},
		{}, // gone
		{"rx_drops": 4, "pps_allowance_exceeded": 1, "rx_missed_errors": 70},
	}
	now := time.Unix(1e9, 0)
	at := 0
	c := &Counters{read: func(string) map[string]uint64 { return readings[at] }}
	for i, want := range []uint64{0, 3 + 2, 5 + 2, 5 + 2, 5 + 2, 20 + 3} {
		at = i
		got := c.Loss(now)
		if got.Packets != want {
			t.Errorf("reading %d: %d lost (%v), want %d", i, got.Packets, got.Counters, want)
		}
		now = now.Add(maxAge)
	}
	want := map[string]uint64{"rx_drops": 7, "pps_allowance_exceeded": 3, "rx_missed_errors": 20}
	if got := c.Loss(now.Add(-maxAge)).Counters; !maps.Equal(got, want) {
		t.Errorf("counters %v, want %v", got, want)
	}
}

// What sockets of an XDP program lost, the driver may count as its own.
func TestLossIsCountedOnceWithXDP(t *testing.T) {
	sums := map[string]uint64{"rx_queue_N_drops": 50, "rxN_drops": 60, "rx_missed_errors": 7, "pps_allowance_exceeded": 3}
	for xdp, want := range map[bool]uint64{false: 60 + 3, true: 7 + 3} {
		if got := total(sums, xdp); got != want {
			t.Errorf("xdp %v: %d lost, want %d", xdp, got, want)
		}
	}
}

func TestLossIsReadOnceASecond(t *testing.T) {
	reads := 0
	c := &Counters{read: func(string) map[string]uint64 {
		reads++
		return map[string]uint64{"rx_drops": uint64(reads)}
	}}
	now := time.Unix(1e9, 0)
	first := c.Loss(now)
	for _, tt := range []struct {
		after time.Duration
		reads int
	}{{0, 1}, {maxAge - 1, 1}, {maxAge, 2}, {2*maxAge - 1, 2}, {2 * maxAge, 3}} {
		if c.Loss(now.Add(tt.after)); reads != tt.reads {
			t.Errorf("after %v: read %d times, want %d", tt.after, reads, tt.reads)
		}
	}
	if first.Counters["rx_drops"] != 0 {
		t.Error("what was returned before has changed")
	}
}
