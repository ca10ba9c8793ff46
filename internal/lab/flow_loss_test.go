package lab_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/judge"
	"github.com/periscope-collector/periscope/internal/lab"
)

// bulk is what HTTP carries each way, in bytes. At 1,448 a segment, one in a
// thousand is 14.
const bulk = 20 << 20

// TestUpstreamLoss removes packets from a capture of real TCP, as a mirror does
// that is short of bandwidth. Both ends had them, so that their acknowledgements
// tell what is missing: flow records must report as many bytes lost as were
// removed, to a tenth, and none where nothing was.
func TestUpstreamLoss(t *testing.T) {
	lab.Need(t, "go", "tshark")
	program := build(t)
	frames, payload := captureBulk(t)
	for i, rate := range []float64{0, 0.001, 0.01, 0.05} {
		draw := rand.New(rand.NewPCG(uint64(i), 8))
		b := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
		removed, bytes := 0, 0
		for i, f := range frames {
			if draw.Float64() < rate {
				removed++
				bytes += payload[i]
				continue
			}
			b = traffic.AppendPcapRecord(b, f.time.UnixNano(), f.data, f.length)
		}
		lost := reportedLoss(t, program, b)
		t.Logf("%v %% of %d frames removed, %d with %d bytes of TCP: %d reported as lost", 100*rate, len(frames), removed, bytes, lost)
		if rate > 0 && bytes == 0 {
			t.Errorf("nothing removed at %v %%", 100*rate)
		}
		if difference := max(lost-bytes, bytes-lost); difference*10 > bytes {
			t.Errorf("at %v %%: %d bytes reported as lost, of %d removed", 100*rate, lost, bytes)
		}
	}
}

// captureBulk has HTTP download and upload over the first mirrored interface, in
// packets of the usual size, and returns the frames with their TCP payload in
// bytes.
func captureBulk(t *testing.T) (frames []frame, payload []int) {
	t.Helper()
	l := lab.New(t)
	startServers(t, l)
	m := l.Mirrors[0]
	for _, n := range []*lab.Namespace{l.Host, l.Client} {
		n.Run("ip", "link", "set", m.Interface, "mtu", "1500")
	}
	sight := watch(t, l) // then: tcpdump's buffer has slots of the MTU, for 7,000 frames or for 40,000
	l.Connect()
	upload := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(upload, noise(bulk), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "http://" + netip.AddrPortFrom(m.Host, 80).String()
	l.Client.Run("curl", "-sSf", "-o", "/dev/null", fmt.Sprintf("%s/%d", url, bulk))
	l.Client.Run("curl", "-sSf", "-o", "/dev/null", "--data-binary", "@"+upload, url)
	sight.settle()
	for _, row := range judge.Tshark(t, sight.capture(0)) {
		bytes := 0
		if row.Transport == "tcp" {
			bytes = row.Payload
		}
		payload = append(payload, bytes)
	}
	return sight.frames(0), payload
}

// reportedLoss replays a file of bare frames and returns the lost bytes of its
// flow records.
func reportedLoss(t *testing.T, program string, pcap []byte) (lost int) {
	t.Helper()
	dir := t.TempDir()
	file, config := filepath.Join(dir, "thinned.pcap"), filepath.Join(dir, "periscope.yaml")
	write(t, file, string(pcap))
	write(t, config, "sinks: {flowlog: {dir: flows, format: json}}")
	out, err := exec.Command(program, "replay", "--config", config, "--bare-vni", "7", file).CombinedOutput()
	if err != nil {
		t.Fatalf("replay: %v\n%s", err, out)
	}
	for _, line := range judge.FlowLogs(t, filepath.Join(dir, "flows")) {
		lost += int(line.LostBytes)
	}
	return lost
}
