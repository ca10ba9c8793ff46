package pipeline

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
)

func TestReplayWorkers(t *testing.T) {
	none, pcap := config.Sinks{}, config.Sinks{PCAP: &config.PCAP{}}
	for _, tt := range []struct {
		name              string
		configured, cores int
		sinks             config.Sinks
		report            bool
		want              int
	}{
		{"counting", 0, 4, none, false, 1},
		{"counting with as many as asked for", 3, 4, none, false, 3},
		{"report", 0, 4, none, true, 3},
		{"captures on one core", 0, 1, pcap, false, 1},
		{"captures on two cores", 0, 2, pcap, false, 1},
		{"captures on four cores", 0, 4, pcap, false, 3},
		{"cores for all shards", 0, packet.Shards + 1, pcap, false, packet.Shards},
		{"more cores than shards", 0, packet.Shards + 2, pcap, false, packet.Shards},
		{"as many as there are shards", packet.Shards, 2, pcap, false, packet.Shards},
		{"more than there are shards", packet.Shards + 1, 2, pcap, false, packet.Shards},
	} {
		t.Run(tt.name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(tt.cores))
			cfg := config.Config{Sinks: tt.sinks}
			cfg.Capture.Workers = tt.configured
			if got := replayWorkers(&cfg, tt.report); got != tt.want {
				t.Errorf("%d workers, want %d", got, tt.want)
			}
		})
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
		r.frameSinks = append(r.frameSinks, frameSink{shrink, 0})
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
