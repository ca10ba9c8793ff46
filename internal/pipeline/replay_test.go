package pipeline

import (
	"testing"

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
