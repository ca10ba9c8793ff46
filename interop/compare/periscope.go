package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/periscope-collector/periscope/interop/sample"
	"github.com/periscope-collector/periscope/sink/splunk"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
)

const (
	host  = "collector-1"
	index = "net"
	token = "00000000-0000-4000-8000-000000000001"
)

// kinds is how many different events there are.
const kinds = 2000

// periscope is the Splunk sink as it is in the product, in the mode that waits
// when it has no room, since it is to lose nothing.
func periscope(url, dir string) (func(load) error, error) {
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return nil, err
	}
	s, err := splunk.Open(splunk.Config{
		Dir: filepath.Join(dir, "spool"), Size: 256 << 20,
		HEC:  hec.Config{Endpoints: []hec.Endpoint{{URL: url}}, TokenFile: file},
		Flow: true, Indexes: splunk.Indexes{Flow: index}, Host: host, Replay: true,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, err
	}
	session := sample.Session()
	return func(l load) error {
		for n := range l.steps() {
			for i := range step {
				r := sample.Flow(session, (n+i)%kinds)
				s.Flow(0, &r)
			}
			s.Mark(0, int64(n), time.Now().UnixNano())
		}
		s.Settle(context.Background())
		if err := s.Close(context.Background()); err != nil {
			return err
		}
		if a := s.Ledger(); a.Stored != uint64(l.events) || a.Imbalance() != 0 {
			return fmt.Errorf("%d events stored of %d: %+v", a.Stored, l.events, a)
		}
		return nil
	}, nil
}
