package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/periscope-collector/periscope/internal/command"
	"github.com/periscope-collector/periscope/mirror"
)

func newReconcileCommand() *cobra.Command {
	p := places{filters: true} // who is at a shell may have mistyped one
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Look once, and do what is to be done",
		Long: `Look at what is, and make, change and delete mirror sessions until that is what the
rules want. What was done is printed, with what is held back and why, and quotas
that are near. What AWS refuses is no failure: it is printed with AWS's words.

With --dry-run nothing is done: what would be is printed. The exit status is 1 if
something failed that may succeed later.`,
		Example: `  periscope-mirror reconcile --rules mirror.yaml --dry-run
  periscope-mirror reconcile --rules mirror.yaml --dry-run --json
  periscope-mirror reconcile --rules mirror.yaml --changes changes`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			log := newLog(cmd.ErrOrStderr(), slog.LevelWarn)
			m, err := open(ctx, p, log)
			if err != nil {
				return err
			}
			show := printOutcome
			if asJSON {
				show = printJSON
			}
			return reconcile(ctx, m, dry, func(o outcome) error { return show(cmd.OutOrStdout(), o) })
		},
	}
	rulesFlag(cmd, &p.rules)
	changesFlag(cmd, &p.changes)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "print what would be done, and do nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// newLog returns a log for people, of lines from a level on.
func newLog(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

// An outcome is what rounds did, or a plan that was not carried out.
type outcome struct {
	dry     bool
	results []mirror.Result // of a plan they have no Outcome
	plan    *mirror.Plan    // of the last round
}

// reconcile does rounds, or a dry one, and shows what came of them, also if they
// ended in an error.
func reconcile(ctx context.Context, m *mirrorer, dry bool, show func(outcome) error) error {
	if dry {
		plan, err := m.Plan(ctx, nil)
		if err != nil {
			return err
		}
		o := outcome{dry: true, plan: plan}
		for _, a := range plan.Actions {
			o.results = append(o.results, mirror.Result{Action: a, Session: a.Session})
		}
		return show(o)
	}
	var o outcome
	err := m.confirmed(ctx, &o)
	if o.plan == nil {
		return err
	}
	if failed := show(o); failed != nil {
		return failed
	}
	return err
}

// confirmed does rounds until what AWS says was made is there: to an equal call of
// before it gives the same answer, also if that session is gone since.
func (m *mirrorer) confirmed(ctx context.Context, o *outcome) error {
	for range maxDoubts {
		err := m.rounds(ctx, nil, func(r *mirror.Report) {
			o.results = append(o.results, r.Results...)
			o.plan = r.Plan
		})
		if err != nil {
			return err
		}
		missing, err := m.missing(ctx, o.results)
		if len(missing) == 0 || err != nil {
			return err
		}
		m.Doubt(missing)
		for i := range o.results {
			if r := &o.results[i]; slices.Contains(missing, r.Session.ID) {
				r.Outcome, r.Err = mirror.Gone, fmt.Errorf("AWS answers with session %s of before, which is not there", r.Session.ID)
			}
		}
	}
	return fmt.Errorf("AWS answers with sessions that are not there, %d times in a row; do it again in 10 minutes", maxDoubts)
}

// maxDoubts is how often sessions are made anew that are not there. Each takes 5 s.
const maxDoubts = 5

// missing returns the sessions that were made and that AWS does not list, also some
// seconds later.
func (m *mirrorer) missing(ctx context.Context, results []mirror.Result) (ids []string, err error) {
	for i := range results {
		if r := &results[i]; r.Action.Verb == mirror.Create && r.Outcome == mirror.Done {
			ids = append(ids, r.Session.ID)
		}
	}
	for _, wait := range []time.Duration{0, time.Second, 2 * time.Second, 2 * time.Second} {
		if len(ids) == 0 {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("stopped before it was seen that %s there: %w", areThere(len(ids)), ctx.Err())
		case <-time.After(wait):
		}
		if ids, err = m.Missing(ctx, ids); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

func areThere(n int) string {
	if n == 1 {
		return "1 session is"
	}
	return fmt.Sprintf("%d sessions are", n)
}

// maxRounds bounds the rounds of one call: an account has at most 10,000 sessions, of
// which a round deletes or makes 100; the rest is for those that make room first.
const maxRounds = 250

// rounds does rounds until there is nothing to do at once, and passes on what each
// did, in time. What the end of the context left undone is an error, and so are
// changes that could not be written.
func (m *mirrorer) rounds(ctx context.Context, hints []mirror.Hint, did func(*mirror.Report)) error {
	for range maxRounds {
		report, err := m.Reconcile(ctx, hints)
		if report == nil {
			return err
		}
		did(report)
		switch left := leftOf(report); {
		case err != nil:
			return err
		case left > 0 && ctx.Err() != nil:
			return fmt.Errorf("stopped with %s left to do: %w", count(left, "action"), ctx.Err())
		case report.More:
		case report.Unwritten > 0:
			return fmt.Errorf("%s could not be written; the log says why", count(report.Unwritten, "change"))
		default:
			return nil
		}
	}
	return fmt.Errorf("there is still something to do after %d rounds; do it again", maxRounds)
}

// leftOf returns how many actions of a round were not tried.
func leftOf(r *mirror.Report) (left int) {
	for i := range r.Results {
		if r.Results[i].Outcome == mirror.Delayed {
			left++
		}
	}
	return left
}
