package pipeline

import (
	"log/slog"
	"runtime"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/sink/pcap"
)

// newTable returns a table without sessions.
func newTable(cfg *config.Config, log *slog.Logger) *session.Table {
	return session.New(tableConfig(cfg, log))
}

func tableConfig(cfg *config.Config, log *slog.Logger) session.Config {
	return session.Config{
		Workers:    cfg.Capture.Workers,
		Unknown:    policy(cfg),
		UnknownMax: cfg.Sessions.UnknownMax,
		Log:        log,
	}
}

func loadSessions(cfg *config.Config) ([]session.Entry, error) {
	if cfg.Sessions.File == "" {
		return nil, nil
	}
	entries, err := session.Load(cfg.Sessions.File)
	if err != nil {
		return nil, &FileError{err}
	}
	return entries, nil
}

// A FileError says what is wrong with a file that the configuration names, and
// where.
type FileError struct{ error }

// Unwrap returns the error of the package that read the file.
func (e *FileError) Unwrap() error { return e.error }

func policy(cfg *config.Config) session.Policy {
	if cfg.Sessions.Unknown == "drop" {
		return session.Drop
	}
	return session.Keep
}

// groups are what sinks.pcap.group may say.
var groups = map[string]pcap.Group{"session": pcap.BySession, "service": pcap.ByService, "all": pcap.Together}

// openPCAP opens the pcap sink, or returns nil when it is off.
func openPCAP(cfg *config.PCAP, workers int, replay bool, log *slog.Logger) (*pcap.Sink, error) {
	if cfg == nil {
		return nil, nil
	}
	rotate, retain := pcapLimits(cfg)
	return pcap.Open(pcap.Config{
		Dir:       cfg.Dir,
		Group:     groups[cfg.Group],
		Rotate:    rotate,
		Retain:    retain,
		SnapLen:   int(cfg.SnapLength),
		OpenFiles: cfg.OpenFiles,
		Buffer:    int64(cfg.Buffer),
		Sync:      time.Duration(cfg.Sync),
		Workers:   workers,
		Replay:    replay,
		Log:       log,
	})
}

func pcapLimits(cfg *config.PCAP) (pcap.Rotate, pcap.Retain) {
	return pcap.Rotate{
			Size:    int64(cfg.Rotate.Size),
			Every:   time.Duration(cfg.Rotate.Every),
			Packets: int64(cfg.Rotate.Packets),
		}, pcap.Retain{
			Size: int64(cfg.Retain.Size),
			Age:  time.Duration(cfg.Retain.Age),
			Free: float64(cfg.Retain.Free) / 100,
		}
}

// workers returns the number of workers: one a core that the process may use,
// unless configured.
func workers(configured int) int {
	if configured != 0 {
		return configured
	}
	return min(runtime.GOMAXPROCS(0), MaxWorkers)
}
