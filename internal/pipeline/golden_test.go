package pipeline

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/tunnel"
)

var update = flag.Bool("update", false, "write testdata/mirror.pcap and its ledger anew")

const (
	goldenCapture = "../../testdata/mirror.pcap"
	goldenLedger  = "../../testdata/mirror.json"
)

// goldenMirror is a capture of a mirror target: VXLAN of two sessions, GENEVE
// of a Gateway Load Balancer, a datagram for most reasons not to deliver one,
// and a frame that was cut.
func goldenMirror() []byte {
	_, mirrored, _ := traffic.Interface()
	source, target := netip.AddrPortFrom(mirrored.Netip(), 65474), netip.MustParseAddrPort("10.0.9.10:4789")
	geneve := netip.AddrPortFrom(target.Addr(), tunnel.GENEVEPort)
	var payloads [][]byte
	frames, stacks := traffic.NewFrames(traffic.FramesConfig{Seed: 1, Flows: 8, Size: 200}), traffic.NewStacks(1)
	for i := range 100 {
		payloads = append(payloads, append(tunnel.AppendVXLAN(nil, uint32(7+i%2)), frames.Next()...))
	}
	gateway := tunnel.GENEVE{Protocol: tunnel.ProtocolIPv4, AWS: true, Endpoint: 1, Attachment: 2, Cookie: 3}
	for range 40 {
		payloads = append(payloads, traffic.AppendGENEVE(nil, gateway, source.Addr(), target.Addr(), 9, stacks.Next()))
	}
	payloads = append(payloads, []byte{8}, make([]byte, 8), []byte{0x40, 0, 0, 0, 0, 0, 0, 0}, []byte{1, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 8))
	b := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	for i, payload := range payloads {
		to := target
		if i >= 100 && i < 140 || i > 141 {
			to = geneve
		}
		packet := traffic.AppendOuter(nil, source, to, payload)
		captured := packet
		if i == 50 {
			captured = packet[:len(packet)-60]
		}
		b = traffic.AppendPcapRecord(b, 1_700_000_000_000_000_000+int64(i)*1_000_000, captured, len(packet))
	}
	return b
}

// The capture in testdata gives the ledger in testdata, with any number of
// workers.
func TestGoldenCapture(t *testing.T) {
	if *update {
		if err := os.WriteFile(goldenCapture, goldenMirror(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, workers := range []int{1, 2, 8} {
		cfg := config.Default()
		cfg.Sinks.PCAP.Dir = t.TempDir()
		cfg.Capture.Workers = workers
		r, err := NewReplay(cfg, ReplayConfig{Paths: []string{goldenCapture}, BareVNI: -1}, discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := r.Ledger().Write(&got); err != nil {
			t.Fatal(err)
		}
		if *update && workers == 1 {
			if err := os.WriteFile(goldenLedger, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(goldenLedger)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%d workers:\n%s\nwant\n%s", workers, &got, want)
		}
	}
}

// The capture can be made anew: it holds nobody's traffic.
func TestGoldenCaptureIsSynthetic(t *testing.T) {
	file, err := os.ReadFile(goldenCapture)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, goldenMirror()) {
		t.Error("testdata/mirror.pcap is not what goldenMirror makes: go test ./internal/pipeline -run Golden -update")
	}
}
