package bench

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

// BenchmarkReplay takes a capture file of 500,000 datagrams on tmpfs, which the
// program in imix makes, to counts, to capture files, to flow logs, and to both,
// as periscope replay does. An op is a file.
func BenchmarkReplay(b *testing.B) {
	const frames = 500_000
	file := filepath.Join(tmpfs(b), "imix.pcap")
	if out, err := exec.Command("go", "run", "./imix", "-frames", strconv.Itoa(frames), file).CombinedOutput(); err != nil {
		b.Fatalf("imix: %v\n%s", err, out)
	}
	for _, c := range []struct {
		name        string
		pcap, flows bool
	}{
		{"count", false, false},
		{"pcap", true, false},
		{"flow", false, true},
		{"all", true, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				dir := tmpfs(b)
				cfg := config.Default()
				cfg.Sinks.PCAP = nil
				if c.pcap {
					pcap := config.DefaultPCAP()
					pcap.Dir = filepath.Join(dir, "captures")
					cfg.Sinks.PCAP = &pcap
				}
				if c.flows {
					flows := config.DefaultFlowLog()
					flows.Dir = filepath.Join(dir, "flows")
					cfg.Sinks.FlowLog = &flows
				}
				replay(b, cfg, file, frames)
				b.StopTimer()
				os.RemoveAll(dir) // memory
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N*frames), "ns/packet")
		})
	}
}

func replay(b *testing.B, cfg config.Config, file string, frames uint64) {
	p, err := pipeline.NewReplay(cfg, pipeline.ReplayConfig{Paths: []string{file}, BareVNI: -1}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	if err := p.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := p.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	if l := p.Ledger(); !l.Balanced || l.Delivered.Packets != frames {
		b.Fatalf("%+v", l)
	}
}
