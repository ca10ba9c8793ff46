package pipeline

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"time"

	"github.com/periscope-collector/periscope/capture"
	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/internal/report"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink/splunk"
)

// A ReplayConfig says what to replay, and how fast.
type ReplayConfig struct {
	// Paths are the capture files, in this order. "-" is Stdin.
	Paths []string
	Stdin io.Reader

	// BareVNI, if not negative, says that the files hold inner frames of that
	// VNI instead of datagrams.
	BareVNI int64

	// NoJournal says that the sessions of the configuration's session file are
	// all there are: the journal that aws.journal names is not read.
	NoJournal bool

	// Pace is the speed relative to the capture's clock; 0 means as fast as
	// possible.
	Pace float64

	// Version is the program's.
	Version string

	// Report says that a report on the flows is wanted, and Simulate names the
	// filter file of a simulation; empty means none. See WriteReport.
	Report   bool
	Simulate string
}

// A Replay is a pipeline on capture files. The clock is the capture's, nothing
// is dropped for lack of room, and the same files give the same output whatever
// the number of workers.
type Replay struct {
	*Pipeline
	files  *capture.Files
	pace   float64
	report *report.Report // nil unless wanted
	splunk *splunk.Sink   // nil when it is off

	simulation *report.Simulation // nil unless wanted
}

// NewReplay opens the files and everything that cfg names.
func NewReplay(cfg config.Config, what ReplayConfig, log *slog.Logger) (*Replay, error) {
	cfg.Capture.Workers = replayWorkers(&cfg, what.Report)
	batch, batches := 0, 0
	if what.Pace != 0 {
		batch = 1 // so that each packet comes at its own time
	}
	if cfg.Capture.Workers == 1 {
		batches = 1 // a worker that reads by itself uses one at a time, and its memory stays in the cache
	}
	files, err := capture.OpenFiles(capture.FileConfig{
		Paths:    what.Paths,
		Stdin:    what.Stdin,
		BareVNI:  what.BareVNI,
		Batches:  batches,
		BatchLen: batch,
	})
	if err != nil {
		return nil, err
	}
	r, err := newReplay(&cfg, what, files, log)
	if err != nil {
		return nil, errors.Join(err, files.Close())
	}
	return r, nil
}

// replayWorkers returns the number of workers: at most one for each shard. Unless
// configured that is one a core, less the one that the sinks write with, and one
// in all where frames are just counted, which takes less time than to hand them
// to another worker.
func replayWorkers(cfg *config.Config, report bool) int {
	switch {
	case cfg.Capture.Workers != 0:
		return min(cfg.Capture.Workers, packet.Shards)
	case cfg.Sinks == (config.Sinks{}) && !report:
		return 1
	}
	return min(max(1, runtime.GOMAXPROCS(0)-1), packet.Shards)
}

func newReplay(cfg *config.Config, what ReplayConfig, files *capture.Files, log *slog.Logger) (*Replay, error) {
	table, err := replayTable(cfg, &what, log)
	if err != nil {
		return nil, err
	}
	rules, err := loadRules(cfg)
	if err != nil {
		return nil, err
	}
	simulation, err := loadSimulation(what.Simulate, cfg.Capture.Workers)
	if err != nil {
		return nil, err
	}
	out, err := openOutputs(cfg, surroundings{version: what.Version, replay: true, sessions: table.Sessions, log: log})
	if err != nil {
		return nil, err
	}
	r := &Replay{files: files, pace: what.Pace, splunk: out.splunk, simulation: simulation}
	sinks := out.list()
	if what.Report {
		r.report = report.New(cfg.Capture.Workers)
		sinks = append(sinks, Sink{Name: "report", Sink: r.report})
	}
	c := Config{Workers: cfg.Capture.Workers, Sessions: table, Sinks: sinks, Rules: rules, Flows: flowConfig(cfg), Log: log}
	if simulation != nil {
		c.See = simulation.See
	}
	r.Pipeline, err = New(c)
	if err != nil {
		closeUnused(sinks)
		return nil, err
	}
	return r, nil
}

// WriteReport prints what is wanted of the report on the flows and the
// simulation of filters. It comes after Close.
func (r *Replay) WriteReport(w io.Writer) error {
	var errs []error
	if r.report != nil {
		errs = append(errs, r.report.Write(w, append(r.sessions.Sessions(), r.sessions.Ended()...)))
	}
	if r.report != nil && r.simulation != nil {
		io.WriteString(w, "\n")
	}
	if r.simulation != nil {
		errs = append(errs, r.simulation.Write(w))
	}
	return errors.Join(errs...)
}

// Run replays the files to their end, or until ctx is done. The error names
// every file that was damaged and where; what came before the damage was
// replayed.
func (r *Replay) Run(ctx context.Context) error {
	var source decode.Source = r.files
	if r.pace != 0 {
		source = &paced{Source: r.files, ctx: ctx, pace: r.pace}
	}
	stop := context.AfterFunc(ctx, func() {
		r.files.Close()
		if r.splunk != nil {
			r.splunk.Interrupt()
		}
	})
	defer stop()
	if err := r.Pipeline.Run(ctx, source); err != nil {
		return err
	}
	return errors.Join(ctx.Err(), r.files.Err())
}

// Progress returns how many bytes of the inputs have been read and how many
// there are, or -1 when that is not known.
func (r *Replay) Progress() (read, total int64) { return r.files.Progress() }

// Close flushes the sinks. It comes after Run.
func (r *Replay) Close(ctx context.Context) error {
	return errors.Join(r.Pipeline.Close(ctx), r.files.Close())
}

// paced delays each batch until its first datagram is due.
type paced struct {
	decode.Source
	ctx  context.Context
	pace float64

	began time.Time
	first int64 // the time of the first datagram
}

func (p *paced) Next() (*packet.Batch, error) {
	b, err := p.Source.Next()
	if err != nil || len(b.Datagrams) == 0 {
		return b, err
	}
	at := b.Datagrams[0].Time
	if p.began.IsZero() {
		p.began, p.first = time.Now(), at
	}
	due := p.began.Add(time.Duration(float64(at-p.first) / p.pace))
	if wait := time.Until(due); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.ctx.Done():
		}
	}
	return b, nil
}
