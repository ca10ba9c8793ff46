package pipeline

import (
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/discovery"
	"github.com/periscope-collector/periscope/packet"
)

// While AWS is away every task that deployments start is unknown: each has a VNI and
// an address of its own, and a session of its own, far beyond unknown_max.
func TestTasksOfAnHourWithoutAWS(t *testing.T) {
	for _, tt := range []struct {
		name       string
		aws        *config.AWS
		unknownMax int
		apart      int // sessions by source
	}{
		{"AWS is asked", &config.AWS{}, 256, 20_000},
		{"more are wanted", &config.AWS{}, 30_000, 30_000},
		{"AWS is not asked", nil, 256, 0},
	} {
		cfg := &config.Config{AWS: tt.aws}
		cfg.Capture.Workers = 4
		cfg.Sessions.Unknown, cfg.Sessions.UnknownMax = "keep", tt.unknownMax
		found := &finder{}
		table := newLiveTable(cfg, discard, &found)
		if tt.aws != nil {
			found.Discovery = discovery.New(discovery.Config{AWS: tt.aws, Table: table, Log: discard})
		}
		now := time.Now().UnixNano()
		frame := &packet.Frame{Time: now, Data: make([]byte, 60)}
		next := func() (*packet.Session, packet.Reason) {
			frame.VNI++
			n := frame.VNI
			frame.Source = packet.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
			copy(frame.Data, []byte{6: 0x0a, 9: byte(n >> 16), 10: byte(n >> 8), 11: byte(n), 12: 8, 14: 0x45})
			copy(frame.Data[26:], frame.Source[12:])
			return table.Lookup(frame)
		}
		for i := range tt.apart {
			if s, reason := next(); reason != packet.None || s.Source != frame.Source {
				t.Fatalf("%s: task %d: %+v, %v", tt.name, i, s, reason)
			}
		}
		for i := range tt.unknownMax {
			if s, reason := next(); reason != packet.None || !s.Source.IsZero() {
				t.Fatalf("%s: VNI %d: %+v, %v", tt.name, i, s, reason)
			}
		}
		if s, reason := next(); reason != packet.UnknownLimit {
			t.Errorf("%s: beyond: %+v, %v", tt.name, s, reason)
		}
	}
}
