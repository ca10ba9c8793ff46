package main

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/tunnel"
)

// geneve returns a GENEVE datagram.
func geneve(protocol uint16, payload []byte) []byte {
	return append(tunnel.AppendGENEVE(nil, tunnel.GENEVE{VNI: 8, Protocol: protocol}), payload...)
}

// middle returns the IPv4 packet of a VXLAN datagram, as a Gateway Load
// Balancer carries it.
func middle(fragment byte) []byte {
	ip := []byte{
		0x45, 0, 0, 100, 0, 1, fragment, 0, 64, 17, 0, 0, 10, 0, 1, 23, 10, 0, 9, 9,
		0xff, 0x80, 0x12, 0xb5, 0, 80, 0, 0,
	}
	return append(ip, vxlan(4, make([]byte, 64))...)
}

// Datagrams that carry no frame are counted under their reason, and nothing of
// them is kept.
func TestRunCountsEveryReason(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "sessions.yaml"), []byte("sessions:\n  - {name: known, vni: 4}\n"))
	c := collect(t, setup{
		dir:     dir,
		geneve:  "127.0.0.1:0",
		capture: `allow: ["127.0.0.1/32"]`,
		session: `file: sessions.yaml, unknown: drop`,
	})
	frame := traffic.NewFrames(traffic.FramesConfig{}).Next()
	plain, balanced, stranger := dial(t, c.vxlan, "127.0.0.1"), dial(t, c.geneve, "127.0.0.1"), dial(t, c.vxlan, "127.0.0.2")
	want := make(map[string]uint64)
	total := 0
	for _, d := range []struct {
		reason    string
		datagrams [][]byte
	}{
		{"vxlan_short", [][]byte{{}, vxlan(4, nil)[:7]}},
		{"vxlan_flag", [][]byte{append(make([]byte, 8), frame...)}},
		{"unknown_session", [][]byte{vxlan(3, frame), vxlan(5, nil)}},
		{"", [][]byte{vxlan(4, frame), vxlan(4, frame), vxlan(4, nil)}},
	} {
		for _, b := range d.datagrams {
			write(t, plain, b)
			want[d.reason]++
			total++
		}
	}
	for _, d := range []struct {
		reason    string
		datagrams [][]byte
	}{
		{"geneve_version", [][]byte{append([]byte{0x40}, geneve(0x6558, frame)[1:]...)}},
		{"geneve_options", [][]byte{{}, geneve(0x6558, nil)[:7], append([]byte{1}, geneve(0x6558, nil)[1:]...)}},
		{"geneve_payload", [][]byte{geneve(0x1234, frame), geneve(0x0800, middle(0)[:19]), geneve(0x86dd, middle(0))}},
		{"outer_fragment", [][]byte{geneve(0x0800, middle(0x20))}},
		{"unknown_session", [][]byte{geneve(0x6558, frame)}}, // VNI 8
		{"", [][]byte{geneve(0x0800, middle(0))}},            // VNI 4
	} {
		for _, b := range d.datagrams {
			write(t, balanced, b)
			want[d.reason]++
			total++
		}
	}
	for range 3 {
		write(t, stranger, vxlan(4, frame))
		want["not_allowed"]++
		total++
	}
	c.waitReceived(total)
	metrics := c.metrics()
	l := c.stop()
	if l.Delivered.Packets != want[""] || l.Received.Packets != uint64(total) {
		t.Errorf("%d delivered, want %d: %+v", l.Delivered.Packets, want[""], l)
	}
	if n := records(readTree(t, c.out)); n != int(want[""]) {
		t.Errorf("%d records, want %d", n, want[""])
	}
	delete(want, "")
	for reason, n := range want {
		if l.NotDelivered[reason] != n {
			t.Errorf("%s: %d, want %d", reason, l.NotDelivered[reason], n)
		}
		if got := metrics[fmt.Sprintf("periscope_not_delivered_packets_total{reason=%q}", reason)]; got != float64(n) {
			t.Errorf("metric of %s is %v, want %d", reason, got, n)
		}
	}
	if len(l.NotDelivered) != len(want) {
		t.Errorf("reasons %v, want %v", l.NotDelivered, want)
	}
	if metrics["periscope_ledger_imbalance_packets"] != 0 {
		t.Errorf("imbalance %v", metrics["periscope_ledger_imbalance_packets"])
	}
}
