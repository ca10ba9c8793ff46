package traffic

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tshark runs tshark with checksum validation on over a file, and returns its
// output.
func tshark(t *testing.T, path string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("tshark is not installed: apt-get install tshark")
	}
	all := []string{"-r", path, "-n"}
	for _, o := range []string{"ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"} {
		all = append(all, "-o", o+":TRUE")
	}
	all = append(all, "-o", "sctp.checksum:CRC-32c")
	cmd := exec.Command("tshark", append(all, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args, err, stderr.String())
	}
	return string(out)
}

// faulty selects what tshark finds wrong.
const faulty = "_ws.malformed || _ws.expert.group == \"Malformed\" || _ws.expert.group == \"Checksum\""

// writeCapture writes n frames into a file.
func writeCapture(t *testing.T, n int, appendFrame func([]byte) []byte) string {
	t.Helper()
	b := AppendPcapHeader(nil, LinkEthernet)
	var frame []byte
	for i := range n {
		frame = appendFrame(frame[:0])
		b = AppendPcapRecord(b, 1_700_000_000_000_000_000+int64(i)*1000, frame, len(frame))
	}
	path := filepath.Join(t.TempDir(), "frames.pcap")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// satisfies fails the test if tshark finds fault with the capture, or did not
// find each of the given fields equal to 1.
func satisfies(t *testing.T, path string, fields ...string) {
	t.Helper()
	if out := tshark(t, path, "-Y", faulty); out != "" {
		t.Errorf("tshark objects:\n%s", head(out, 20))
	}
	for _, field := range fields {
		if tshark(t, path, "-c", "2000", "-Y", field+" == 1") == "" {
			t.Errorf("no packet has %s == 1", field)
		}
	}
}

func TestFramesSatisfyTshark(t *testing.T) {
	path := writeCapture(t, 20_000, NewFrames(FramesConfig{Flows: 500}).Append)
	satisfies(t, path, "ip.checksum.status", "tcp.checksum.status", "udp.checksum.status",
		"icmp.checksum.status", "icmpv6.checksum.status")
	if out := tshark(t, path, "-Y", "tcp.analysis.flags"); out != "" {
		t.Errorf("TCP sequence numbers:\n%s", head(out, 10))
	}
}

func head(s string, lines int) string {
	all := strings.SplitN(s, "\n", lines+1)
	return strings.Join(all[:min(lines, len(all))], "\n")
}
