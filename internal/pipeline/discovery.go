package pipeline

import (
	"context"
	"log/slog"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/discovery"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// A finder finds out from AWS whose sessions there are. The nil finder does not.
type finder struct {
	journal *journal.Journal // nil for none
	*discovery.Discovery
}

// newLiveTable returns a table without sessions. If AWS is asked, unknown senders
// are kept apart, and told to the finder that is there once frames come.
func newLiveTable(cfg *config.Config, log *slog.Logger, found **finder) *session.Table {
	c := tableConfig(cfg, log)
	if cfg.AWS != nil {
		c.BySource = true
		c.Stranger = func(s *packet.Session) { (*found).Stranger(s) }
	}
	return session.New(c)
}

// openFinder has the table learn what the journal says. It asks nothing yet.
func openFinder(cfg *config.AWS, table *session.Table, log *slog.Logger) (*finder, error) {
	f := &finder{}
	if cfg.Journal != "" {
		var err error
		f.journal, err = journal.Open(cfg.Journal, journal.Config{Size: int64(cfg.JournalSize), Log: log})
		if err != nil {
			return nil, err
		}
	}
	f.Discovery = discovery.New(discovery.Config{AWS: *cfg, Table: table, Journal: f.journal, Log: log})
	return f, nil
}

// start asks AWS until stop is called, which waits until that has ended.
func (f *finder) start() (stop func()) {
	if f == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func (f *finder) close() error {
	if f == nil || f.journal == nil {
		return nil
	}
	return f.journal.Close()
}

// Discovery returns what AWS was asked and what it said, or nil while it is not
// asked.
func (l *Live) Discovery() *Discovery {
	f := l.finder
	if f == nil {
		return nil
	}
	d := &Discovery{Scopes: []Scope{}, Calls: make(map[string]uint64), Errors: make(map[string]uint64), filter: f.Filter, stale: f.Stale()}
	for kind := awsapi.None + 1; kind < awsapi.NumKinds; kind++ {
		d.Errors[kind.String()] = 0 // there from the start
	}
	if f.journal != nil {
		d.JournalBytes = f.journal.Stats().Bytes
	}
	for _, s := range f.Status() {
		d.Scopes = append(d.Scopes, Scope{
			Account: s.Account, Region: s.Region, Sessions: s.Sessions,
			LastSuccess: s.LastSuccess, StaleSince: s.StaleSince, Kind: s.ErrorKind, Error: s.Error,
		})
		for operation, n := range s.Calls {
			d.Calls[operation] += n
		}
		for kind, n := range s.Errors {
			d.Errors[kind] += n
		}
	}
	return d
}
