package record_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/record"
)

// TestCommunityID holds the specification's baseline (baseline_deflt.json in
// github.com/corelight/community-id-spec). For ICMP the numbers are type and
// code, where the baseline has the type of the answer in place of the code.
func TestCommunityID(t *testing.T) {
	for _, tt := range []struct {
		name     string
		protocol uint8
		src, dst string
		a, b     uint16
		want     string
	}{
		{"neighbor solicitation", 58, "fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
		{"its advertisement", 58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 136, 0, "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
		{"solicitation the other way", 58, "fe80::260:97ff:fe07:69ea", "fe80::200:86ff:fe05:80da", 135, 0, "1:zavyT/cezQr1fmImYCwYnMXbgck="},
		{"hop limit exceeded", 58, "3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da", 3, 0, "1:2ObVBgIn28oZvibYZhZMBgh7WdQ="},
		{"port unreachable", 58, "3ffe:501:410:0:2c0:dfff:fe47:33e", "3ffe:507:0:1:200:86ff:fe05:80da", 1, 4, "1:hLZd0XGWojozrvxqE0dWB1iM6R0="},
		{"ICMPv6 echo", 58, "3ffe:507:0:1:200:86ff:fe05:80da", "3ffe:501:0:1001::2", 128, 0, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="},
		{"ICMPv6 echo reply", 58, "3ffe:501:0:1001::2", "3ffe:507:0:1:200:86ff:fe05:80da", 129, 0, "1:+TW+HtLHvV1xnGhV1lv7XoJrqQg="},
		{"router solicitation", 58, "fe80::200:86ff:fe05:80da", "ff02::2", 133, 0, "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0="},
		{"router advertisement", 58, "fe80::260:97ff:fe07:69ea", "ff02::1", 134, 0, "1:pkvHqCL88/tg1k4cPigmZXUtL00="},
		{"echo", 1, "192.168.0.89", "192.168.0.1", 8, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{"echo reply", 1, "192.168.0.1", "192.168.0.89", 0, 0, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
		{"time exceeded", 1, "10.0.0.1", "10.0.0.2", 11, 0, "1:YHxtAirCG//0OzkcVAukqKQN9xM="},
		{"TCP over IPv6", 6, "2001:470:e5bf:dead:4957:2174:e82c:4887", "2607:f8b0:400c:c03::1a", 63943, 25, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
		{"its answer", 6, "2607:f8b0:400c:c03::1a", "2001:470:e5bf:dead:4957:2174:e82c:4887", 25, 63943, "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
		{"SCTP", 132, "192.168.170.8", "192.168.170.56", 7, 7, "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="},
		{"TCP", 6, "128.232.110.120", "66.35.250.204", 34855, 80, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"its answer over IPv4", 6, "66.35.250.204", "128.232.110.120", 80, 34855, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{"UDP", 17, "192.168.1.52", "8.8.8.8", 54585, 53, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{"its answer over UDP", 17, "8.8.8.8", "192.168.1.52", 53, 54585, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{"RSVP", 46, "10.1.12.1", "10.1.12.2", 0, 0, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="},
		{"RSVP, other way", 46, "10.1.12.2", "10.1.12.1", 0, 0, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &packet.Flow{Protocol: tt.protocol, Addr: [2]packet.Addr{addr(tt.src), addr(tt.dst)}}
			switch tt.protocol {
			case packet.ProtocolICMP, packet.ProtocolICMPv6:
				r.ICMPType, r.ICMPCode = uint8(tt.a), uint8(tt.b)
			default:
				r.Port = [2]uint16{tt.a, tt.b}
			}
			if got := string(record.AppendCommunityID(nil, r)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// TestCommunityIDTshark compares with tshark on frames of every kind that
// decode reads, and on every type of ICMP message.
func TestCommunityIDTshark(t *testing.T) {
	if _, err := exec.LookPath("tshark"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v: apt-get install tshark", err)
		}
		t.Skipf("%v: apt-get install tshark", err)
	}
	file := traffic.AppendPcapHeader(nil, 1)
	var frames []packet.Frame
	add := func(data []byte) {
		f := packet.Frame{Data: append([]byte(nil), data...), Length: len(data)}
		decode.Decode(&f)
		frames = append(frames, f)
		file = traffic.AppendPcapRecord(file, int64(len(frames))*1e6, data, len(data))
	}
	stacks := traffic.NewStacks(1)
	for range stacks.Cycle() {
		add(stacks.Next())
	}
	for kind := range 256 {
		add(icmpFrame(uint8(kind)))
	}
	path := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command("tshark", "-n", "-r", path, "--enable-protocol", "communityid", "-T", "fields", "-e", "communityid",
		"-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE")
	cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(lines) != len(frames) {
		t.Fatalf("tshark gives %d lines for %d frames", len(lines), len(frames))
	}
	compared := 0
	for i := range frames {
		h := &frames[i].Header
		if h.Version == 0 || h.FragmentOffset != 0 {
			continue // no flow; ports are those of the first fragment
		}
		compared++
		r := packet.Flow{
			Addr: [2]packet.Addr{h.Src, h.Dst}, Port: [2]uint16{h.SrcPort, h.DstPort},
			Protocol: h.Protocol, ICMPType: h.ICMPType, ICMPCode: h.ICMPCode,
		}
		if got := string(record.AppendCommunityID(nil, &r)); got != lines[i] {
			t.Errorf("frame %d, protocol %d, type %d: got %s, tshark %s", i+1, h.Protocol, h.ICMPType, got, lines[i])
		}
	}
	if compared < 600 {
		t.Errorf("compared %d frames only", compared)
	}
}

// icmpFrame returns an ICMP message of code 1 from a higher to a lower address.
func icmpFrame(kind uint8) []byte {
	const body = 32 // enough for every type, so that tshark reads it to the end
	frame := []byte{
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
		0x45, 0, 0, 20 + 4 + body, 0, 0, 0, 0, 64, packet.ProtocolICMP, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1,
		kind, 1, 0, 0,
	}
	return append(frame, make([]byte, body)...)
}
