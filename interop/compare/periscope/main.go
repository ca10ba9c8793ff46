// Command periscope sends flow records through Periscope's Splunk sink.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/periscope-collector/periscope/interop/compare/round"
	"github.com/periscope-collector/periscope/interop/sample"
	"github.com/periscope-collector/periscope/sink/splunk"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

func main() { round.Main(ready) }

// ready opens the Splunk sink as it is in the product, in the mode that waits
// when it has no room, since it is to lose nothing.
func ready(url, dir string) (func(round.Load) error, error) {
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(round.Token), 0o600); err != nil {
		return nil, err
	}
	s, err := splunk.Open(splunk.Config{
		Dir: filepath.Join(dir, "spool"), Size: 256 << 20,
		HEC:  hec.Config{Endpoints: []hec.Endpoint{{URL: url}}, TokenFile: file},
		Flow: true, Indexes: splunk.Indexes{Flow: round.Index}, Host: round.Host, Replay: true,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	session := sample.Session()
	return func(l round.Load) error {
		for n := range l.Steps() {
			for i := range round.Step {
				r := sample.Flow(session, (n+i)%round.Kinds)
				s.Flow(0, &r)
			}
			s.Mark(0, int64(n), time.Now().UnixNano())
		}
		s.Settle(context.Background())
		if err := s.Close(context.Background()); err != nil {
			return err
		}
		if a := s.Ledger(); a.Stored != uint64(l.Events) || a.Imbalance() != 0 {
			return fmt.Errorf("%d events stored of %d: %+v", a.Stored, l.Events, a)
		}
		return nil
	}, nil
}
