package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/discovery"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/journal"
)

// A finder finds out whose sessions there are: it asks AWS, and hears senders. The
// nil finder does not.
type finder struct {
	*discovery.Discovery
	asks    bool             // AWS
	journal *journal.Journal // nil for none
	broken  error            // why it is none, though there should be one

	ctx    context.Context // done when AWS is asked no more
	cancel context.CancelFunc
	begin  sync.Once
	ended  chan struct{} // closed when nobody asks and the journal is closed
	err    error         // of that; to be read then
}

// bySource is how many unknown senders are kept apart at least while AWS is asked:
// as many sessions as discovery keeps of one account and region. While AWS is away
// every task that a deployment starts is one, and has its frames delivered. With 4
// workers they take 25 MB when they are all there, their index 2 MiB at once.
const bySource = 20_000

// newLiveTable returns a table without sessions. Unknown senders are told to the
// finder that is there once frames come, if any, and kept apart if AWS is asked.
func newLiveTable(cfg *config.Config, log *slog.Logger, found **finder) *session.Table {
	c := tableConfig(cfg, log)
	if cfg.AWS != nil {
		c.BySource = max(c.UnknownMax, bySource)
	}
	if finds(cfg) {
		c.Stranger = func(s *packet.Session) { (*found).Stranger(s) }
	}
	return session.New(c)
}

// finds reports whether there is a finder: somebody says whose sessions there are.
func finds(cfg *config.Config) bool { return cfg.AWS != nil || cfg.Sessions.Announced }

// openFinder has the table learn what the journal says. It asks nothing yet. A
// journal that cannot be opened is none: capture goes first. Where nobody says whose
// sessions there are it returns nil.
func openFinder(cfg *config.Config, table *session.Table, keep journal.Config) *finder {
	if !finds(cfg) {
		return nil
	}
	f := &finder{asks: cfg.AWS != nil, ended: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	if aws := cfg.AWS; aws != nil && aws.Journal != "" {
		keep.Size = int64(aws.JournalSize)
		if f.journal, f.broken = journal.Open(aws.Journal, keep); f.broken != nil {
			keep.Log.Error("there is no journal until the next start: that does not know the sessions while AWS is away, and who had an address is not kept",
				"error", f.broken)
		}
	}
	f.Discovery = discovery.New(discovery.Config{
		AWS: cfg.AWS, Announced: cfg.Sessions.Announced, Table: table, Journal: f.journal, Log: keep.Log,
	})
	return f
}

// start asks AWS until stop is called.
func (f *finder) start() {
	if f == nil {
		return
	}
	f.begin.Do(func() {
		go func() {
			defer close(f.ended)
			f.Run(f.ctx)
			if f.journal != nil {
				f.err = f.journal.Close()
			}
		}()
	})
}

// stop has AWS asked no more. It does not wait.
func (f *finder) stop() {
	if f != nil {
		f.cancel()
	}
}

// close waits until the journal has what was found and is closed, or ctx is done.
func (f *finder) close(ctx context.Context) error {
	if f == nil {
		return nil
	}
	f.stop()
	f.start() // who has not asked yet ends at once
	select {
	case <-f.ended:
		return f.err
	default: // ctx may be done, too
	}
	select {
	case <-f.ended:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("the session journal may lack what was found last: %w", cmp.Or(f.JournalError(), ctx.Err()))
	}
}

// journalError returns why the journal does not have what the table has, or nil.
func (f *finder) journalError() error {
	if f.broken != nil {
		return f.broken
	}
	return f.JournalError()
}

// hear has an announcement heard.
func (f *finder) hear(frame *packet.Frame) {
	if f != nil {
		f.Hear(frame)
	}
}

// Announcements returns how many announcements of senders there were, by what became
// of them, or nil if none are heard.
func (l *Live) Announcements() map[string]uint64 {
	if l.finder == nil {
		return nil
	}
	return l.finder.Announcements()
}

// Discovery returns what AWS was asked and what it said, or nil while it is not
// asked.
func (l *Live) Discovery() *Discovery {
	f := l.finder
	if f == nil || !f.asks {
		return nil
	}
	d := &Discovery{
		Scopes: []Scope{}, Calls: make(map[string]uint64), Errors: make(map[string]uint64), Skipped: make(map[string]int),
		Refused: f.Refused(), filter: f.Filter, stale: f.Stale(),
	}
	for kind := awsapi.None + 1; kind < awsapi.NumKinds; kind++ {
		d.Errors[kind.String()] = 0 // there from the start
	}
	for _, reason := range discovery.SkipReasons() {
		d.Skipped[reason] = 0
	}
	if f.journal != nil {
		d.JournalBytes = f.journal.Stats().Bytes
	}
	if err := f.journalError(); err != nil {
		d.JournalError = err.Error()
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
		for reason, n := range s.Skipped {
			d.Skipped[reason] += n
		}
	}
	if c := f.Changes(); c != nil {
		d.Changes = &Changes{Read: c.Read, LeftOut: c.Left, LastSuccess: c.LastSuccess, StaleSince: c.StaleSince, Error: c.Error}
		for operation, n := range c.Calls {
			d.Calls[operation] += n
		}
	}
	return d
}
