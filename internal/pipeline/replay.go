package pipeline

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/periscope-collector/periscope/capture"
	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/packet"
)

// A ReplayConfig says what to replay, and how fast.
type ReplayConfig struct {
	// Paths are the capture files, in this order. "-" is Stdin.
	Paths []string
	Stdin io.Reader

	// BareVNI, if not negative, says that the files hold inner frames of that
	// VNI instead of datagrams.
	BareVNI int64

	// Pace is the speed relative to the capture's clock; 0 means as fast as
	// possible.
	Pace float64
}

// A Replay is a pipeline on capture files. The clock is the capture's, nothing
// is dropped for lack of room, and the same files give the same output whatever
// the number of workers.
type Replay struct {
	*Pipeline
	files *capture.Files
	pace  float64
}

// NewReplay opens the files and everything that cfg names.
func NewReplay(cfg config.Config, what ReplayConfig, log *slog.Logger) (*Replay, error) {
	cfg.Capture.Workers = workers(cfg.Capture.Workers)
	batch := 0
	if what.Pace != 0 {
		batch = 1 // so that each packet comes at its own time
	}
	files, err := capture.OpenFiles(capture.FileConfig{
		Paths:    what.Paths,
		Stdin:    what.Stdin,
		BareVNI:  what.BareVNI,
		BatchLen: batch,
	})
	if err != nil {
		return nil, err
	}
	entries, err := loadSessions(&cfg)
	if err != nil {
		return nil, errors.Join(err, files.Close())
	}
	table := newTable(&cfg, log)
	table.Replace(entries)
	out, err := openPCAP(cfg.Sinks.PCAP, cfg.Capture.Workers, true, log)
	if err != nil {
		return nil, errors.Join(err, files.Close())
	}
	p, err := New(Config{Workers: cfg.Capture.Workers, Sessions: table, Sinks: sinks(out), Log: log})
	if err != nil {
		if out != nil {
			out.Close(context.Background())
		}
		return nil, errors.Join(err, files.Close())
	}
	return &Replay{Pipeline: p, files: files, pace: what.Pace}, nil
}

// Run replays the files to their end, or until ctx is done. The error names
// every file that was damaged and where; what came before the damage was
// replayed.
func (r *Replay) Run(ctx context.Context) error {
	var source decode.Source = r.files
	if r.pace != 0 {
		source = &paced{Source: r.files, ctx: ctx, pace: r.pace}
	}
	stop := context.AfterFunc(ctx, func() { r.files.Close() })
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
