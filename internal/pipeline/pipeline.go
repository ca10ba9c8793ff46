package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/flow"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/sink"
)

// A Sink is a sink of frames, of records or of both, and the name that
// configuration, summary and metrics know it by.
type Sink struct {
	Name string
	sink.Sink

	// Frames, if not nil, takes the frames for Sink, which takes records and
	// has the account of both. It is marked before a worker waits with a record.
	Frames sink.Frames
}

// A Config is what a pipeline is made of. The pipeline closes the sinks.
type Config struct {
	// Workers is the number of workers, 1 to MaxWorkers.
	Workers int

	// Live says that the traffic arrives now: sources are tested against
	// Allow, and nothing waits for a sink. Otherwise it is a replay.
	Live  bool
	Allow []netip.Prefix

	Sessions *session.Table
	Sinks    []Sink // at most 8
	Rules    Rules
	Flows    FlowConfig

	// Lost returns the datagrams that never reached the sources. May be nil.
	Lost func() Lost

	// Hear is given the announcements of senders that neither the session file nor
	// AWS explains. It keeps none of them and does not wait. May be nil.
	Hear func(f *packet.Frame)

	// See is shown every decoded frame, before the rules are applied, as a sink
	// is offered it. May be nil.
	See func(worker int, f *packet.Frame)

	Log *slog.Logger // must not be nil
}

// A Pipeline takes batches from sources to sinks and accounts for every frame.
// Its methods may be called from any goroutine, those of decode.Handler as the
// pool does.
type Pipeline struct {
	live       bool
	allow      atomic.Pointer[allowList]
	sessions   *session.Table
	sinks      []Sink
	gate       atomic.Pointer[gate] // nil while all is kept
	frameSinks []frameSink          // those of the sinks that take frames
	flowSinks  []flowSink           // those that take flow records
	others     []sink.Sink          // those that do not
	table      *flow.Table          // nil without flowSinks
	lost       func() Lost
	hear       func(f *packet.Frame)             // may be nil
	see        func(worker int, f *packet.Frame) // may be nil
	log        *slog.Logger
	announcer  *session.Announcer

	workers []worker
	readers []account
	panics  atomic.Uint64
	runs    atomic.Uint64 // begun and ended: odd while one is under way
	pool    decode.Pool
}

// A frameSink and a flowSink know the place in Pipeline.sinks of their account.
type (
	frameSink struct {
		sink.Frames
		place int
	}
	flowSink struct {
		sink.Flows
		place int
	}
)

var _ decode.Handler = (*Pipeline)(nil)

// MaxWorkers is the largest number of workers.
const MaxWorkers = 256

// New returns a pipeline, which does nothing until Run.
func New(cfg Config) (*Pipeline, error) {
	if cfg.Workers < 1 || cfg.Workers > MaxWorkers {
		return nil, fmt.Errorf("pipeline: %d workers: want 1 to %d", cfg.Workers, MaxWorkers)
	}
	if len(cfg.Sinks) > maxSinks {
		return nil, fmt.Errorf("pipeline: %d sinks: want %d at most", len(cfg.Sinks), maxSinks)
	}
	p := &Pipeline{
		live:      cfg.Live,
		sessions:  cfg.Sessions,
		sinks:     cfg.Sinks,
		lost:      cfg.Lost,
		hear:      cfg.Hear,
		see:       cfg.See,
		log:       cfg.Log,
		announcer: session.NewAnnouncer(cfg.Log),
		workers:   make([]worker, cfg.Workers),
		readers:   make([]account, cfg.Workers),
	}
	for i, s := range p.sinks {
		if s.Frames != nil {
			p.frameSinks = append(p.frameSinks, frameSink{s.Frames, i})
			p.others = append(p.others, s.Frames)
		}
		if frames, ok := s.Sink.(sink.Frames); ok {
			p.frameSinks = append(p.frameSinks, frameSink{frames, i})
		}
		if flows, ok := s.Sink.(sink.Flows); ok {
			p.flowSinks = append(p.flowSinks, flowSink{flows, i})
		} else {
			p.others = append(p.others, s.Sink)
		}
	}
	var err error
	if p.table, err = p.newFlows(&cfg.Flows); err != nil {
		return nil, err
	}
	p.Allow(cfg.Allow)
	p.SetRules(cfg.Rules)
	p.pool = decode.Pool{Workers: cfg.Workers, Handler: p, Wait: !cfg.Live, Sharded: !cfg.Live && p.table != nil}
	return p, nil
}

// Allow replaces the prefixes that live sources must be in.
func (p *Pipeline) Allow(prefixes []netip.Prefix) {
	list := newAllowList(prefixes)
	p.allow.Store(&list)
}

// Run takes everything the sources yield to the sinks: one source for all
// workers, or one each. It returns when they end, fail, or ctx is done. The
// sinks stay open; Close ends them.
func (p *Pipeline) Run(ctx context.Context, sources ...decode.Source) error {
	p.runs.Add(1)
	defer p.runs.Add(1)
	return p.pool.Run(ctx, sources...)
}

// Close writes the records of the flows that are left, and closes the sinks,
// each of which flushes until ctx is done. It comes after Run.
func (p *Pipeline) Close(ctx context.Context) error {
	p.settleFlows(ctx)
	var err error
	for _, s := range p.sinks {
		if e := s.Close(ctx); e != nil {
			err = errors.Join(err, fmt.Errorf("sink %s: %w", s.Name, e))
		}
	}
	return err
}

// Workers returns the number of workers.
func (p *Pipeline) Workers() int { return len(p.workers) }

// Progress returns how many batches a worker has finished, empty ones too. One
// that lives finishes several a second.
func (p *Pipeline) Progress(worker int) uint64 { return p.workers[worker].batches.Load() }

// Finished returns how many frames each worker has finished.
func (p *Pipeline) Finished() []uint64 {
	list := make([]uint64, len(p.workers))
	for i := range p.workers {
		var c counts
		p.workers[i].read(&c)
		list[i] = c.finished
	}
	return list
}
