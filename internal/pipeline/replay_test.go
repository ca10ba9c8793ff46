package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
)

func TestReplayWorkers(t *testing.T) {
	pcap := config.Sinks{PCAP: &config.PCAP{}}
	for _, tt := range []struct {
		name       string
		configured int
		sinks      config.Sinks
		report     bool
		want       int
	}{
		{"counting", 0, config.Sinks{}, false, 1},
		{"counting with as many as asked for", 3, config.Sinks{}, false, 3},
		{"report", 0, config.Sinks{}, true, min(workers(0), packet.Shards)},
		{"captures", 0, pcap, false, min(workers(0), packet.Shards)},
		{"as many as there are shards", packet.Shards, pcap, false, packet.Shards},
		{"more than there are shards", packet.Shards + 1, pcap, false, packet.Shards},
	} {
		cfg := config.Config{Sinks: tt.sinks}
		cfg.Capture.Workers = tt.configured
		if got := replayWorkers(&cfg, tt.report); got != tt.want {
			t.Errorf("%s: %d workers, want %d", tt.name, got, tt.want)
		}
	}
}

// A file that is truncated while it is replayed ends the replay with an error,
// and what came before is accounted for.
func TestReplayOfAFileThatShrinks(t *testing.T) {
	const packets = 4000
	file := traffic.AppendPcapHeader(nil, traffic.LinkEthernet)
	for i := range int64(packets) {
		file = traffic.AppendPcapRecord(file, i, make([]byte, 1000), 1000)
	}
	for _, workers := range []int{1, 3} {
		path := filepath.Join(t.TempDir(), "shrinks.pcap")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg := config.Default()
		cfg.Sinks = config.Sinks{}
		cfg.Capture.Workers = workers
		r, err := NewReplay(cfg, ReplayConfig{Paths: []string{path}, BareVNI: 7}, discard)
		if err != nil {
			t.Fatal(err)
		}
		truncated := false
		shrink := &pile{frames: func(*packet.Frame) {
			if !truncated {
				truncated = true
				if err := os.Truncate(path, 100); err != nil {
					t.Error(err)
				}
			}
		}}
		r.frameSinks = append(r.frameSinks, shrink)
		err = r.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), path+": shrank while it was read") {
			t.Errorf("%d workers: %v", workers, err)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if l := r.Ledger(); !l.Balanced || l.InFlight != 0 || l.Received.Packets == 0 || l.Received.Packets >= packets || l.Delivered.Packets != shrink.offered {
			t.Errorf("%d workers: %+v", workers, l)
		}
	}
}
