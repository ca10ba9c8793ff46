package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/mirror"
)

// serveLambda is an AWS Lambda function: it handles one event after the other, until
// Lambda ends the process.
func serveLambda(stdout, stderr io.Writer) {
	var level slog.Level
	_ = level.UnmarshalText([]byte(os.Getenv("AWS_LAMBDA_LOG_LEVEL"))) // what it is not is INFO
	logger := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level}))
	slog.SetLogLoggerLevel(slog.LevelError) // package lambda writes the errors that are returned to it
	slog.SetDefault(logger)
	lambda.Start(&function{
		places: places{rules: os.Getenv("PERISCOPE_RULES"), changes: os.Getenv("PERISCOPE_CHANGES")},
		out:    stdout, log: logger, now: time.Now,
	})
}

// A function handles events, one at a time, as Lambda passes them on. What it learns
// it keeps from one to the next.
type function struct {
	places places
	out    io.Writer // for metrics
	log    *slog.Logger
	now    func() time.Time

	m       *mirrorer // nil until a start succeeded
	read    time.Time // when its rules were read
	covered time.Time // what happened before it, a look at everything has seen
}

const (
	// spare is how long before the end of an invocation no call is begun any more: a
	// second more than one that is under way may take.
	spare = mirror.LastCall + time.Second

	// rereadEvery is how old rules of S3 may be.
	rereadEvery = time.Minute

	// late is how old an event is when others wait behind it: everything is looked
	// at then, and what waits is seen too.
	late = 10 * time.Second

	// settles is how long after its event what happened may not be told yet.
	settles = 5 * time.Second
)

// Invoke handles an event. An error has Lambda repeat it later; a refusal is none.
func (f *function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-spare))
		defer cancel()
	}
	var t tally
	err := f.handle(ctx, payload, &t)
	if err != nil && t.Failed == 0 {
		t.Failed = 1
	}
	if failed := writeTally(f.out, f.now(), &t); failed != nil {
		f.log.Error("metrics not written", "error", failed)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(&t)
}

func (f *function) handle(ctx context.Context, payload []byte, t *tally) error {
	e, err := parseEvent(payload)
	if err != nil {
		return err
	}
	if e.why != "" {
		f.log.Debug("nothing to look at", "why", e.why)
		return nil
	}
	if err := f.start(ctx); err != nil {
		return err
	}
	if !e.whole && e.hints[0].InstanceID != "" && !f.m.cloud.forInstances() {
		f.log.Debug("nothing to look at", "why", "no rule is about instances")
		return nil
	}
	if !e.whole && !e.at.IsZero() {
		if e.at.Before(f.covered) {
			f.log.Debug("nothing to look at", "why", "everything was looked at since")
			return nil
		}
		e.whole = f.now().Sub(e.at) > late
	}
	hints, began := e.hints, f.now()
	if e.whole {
		hints = nil
	}
	known, early := e.known(), false
	err = f.m.rounds(ctx, hints, func(r *mirror.Report) {
		t.add(r, f.now(), known)
		early = early || slices.ContainsFunc(r.Results, isEarly)
	})
	if t.looked {
		saw := f.m.cloud.saw()
		t.whole, t.Sources, t.Sessions = e.whole, saw.sources, saw.sessions
	}
	if e.whole && err == nil && !early {
		f.covered = began.Add(-settles)
	}
	return err
}

// isEarly reports whether a session was not made since its interface was not there,
// perhaps not yet: a further event may find it.
func isEarly(r mirror.Result) bool {
	return r.Action.Verb == mirror.Create && r.Outcome == mirror.Gone
}

// start does what is to be done before the first round, and reads rules of S3 again
// that are old.
func (f *function) start(ctx context.Context) (err error) {
	if f.m == nil {
		f.read = f.now()
		f.m, err = open(ctx, f.places, f.log)
		return err
	}
	if !isS3(f.places.rules) || f.now().Sub(f.read) < rereadEvery {
		return nil
	}
	f.read = f.now()
	changed, err := f.m.reload(ctx)
	switch {
	case err != nil:
		f.log.Error("rules not reloaded, the old ones stay in force", "error", command.OneLine(err))
	case changed:
		f.covered = time.Time{}
		f.log.Info("rules reloaded", "rules", f.places.rules)
	}
	return nil
}

// known returns since when the interface of a source is known: since the event, if
// that is about its task, else since the task is there. The zero time is not known.
func (e *event) known() func(*mirror.Source) time.Time {
	return func(s *mirror.Source) time.Time {
		switch {
		case s == nil || s.Task == nil:
			return time.Time{}
		case len(e.hints) > 0 && e.hints[0].TaskARN == s.Task.ARN && !e.at.IsZero():
			return e.at
		}
		return s.Task.Created
	}
}
