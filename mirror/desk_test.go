package mirror_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/changes"
)

// A desk is a cloud that does what a test says, and a reconciler at it.
type desk struct {
	mirror.State // that Look shows; sessions that are made are added by the test
	now          time.Time
	calls        []string // "create 1" and so on, of the round
	answer       func(verb mirror.Verb, s *mirror.Session) error
	lookErr      error
	looks        [][]mirror.Hint
	tokens       []string
	log          bytes.Buffer
	said         []changes.Change
	sayErr       func(changes.Change) error
	busy         func(context.Context) error // with what is asked for, and with what is said
	r            *mirror.Reconciler
}

func newDesk(t testing.TB, rules string, sources []mirror.Source) *desk {
	d := &desk{State: *state(sources), now: start}
	d.At = time.Time{}
	d.begin(parse(t, rules))
	return d
}

// begin begins anew, without memory.
func (d *desk) begin(rules *mirror.Rules) {
	d.r = mirror.New(mirror.Config{
		Rules: rules, Cloud: d, Account: account, Region: "eu-central-1", Now: func() time.Time { return d.now },
		Log: slog.New(slog.NewTextHandler(&d.log, nil)),
		Changes: func(ctx context.Context, c changes.Change) error {
			if d.busy != nil {
				if err := d.busy(ctx); err != nil {
					return err
				}
			}
			if d.sayErr != nil {
				if err := d.sayErr(c); err != nil {
					return err
				}
			}
			d.said = append(d.said, c)
			return nil
		},
	})
}

func (d *desk) Look(_ context.Context, hints []mirror.Hint) (*mirror.State, error) {
	d.looks = append(d.looks, hints)
	if d.lookErr != nil {
		return nil, d.lookErr
	}
	s := d.State
	s.Sessions = slices.Clone(s.Sessions)
	return &s, nil
}

func (d *desk) ask(verb mirror.Verb, s *mirror.Session) error {
	d.calls = append(d.calls, fmt.Sprintf("%s %s", verb, strings.TrimLeft(s.InterfaceID[4:], "0")))
	if d.answer == nil {
		return nil
	}
	return d.answer(verb, s)
}

func (d *desk) Create(ctx context.Context, s mirror.Session, token string) (mirror.Session, error) {
	d.tokens = append(d.tokens, token)
	err := d.ask(mirror.Create, &s)
	if d.busy != nil && err == nil {
		err = d.busy(ctx)
	}
	s.ID = tms(1000 + len(d.tokens))
	return s, err
}

func (d *desk) Modify(_ context.Context, s mirror.Session) error { return d.ask(mirror.Modify, &s) }

func (d *desk) Delete(_ context.Context, id string) error {
	for _, s := range d.Sessions {
		if s.ID == id {
			return d.ask(mirror.Delete, &s)
		}
	}
	return d.ask(mirror.Delete, &mirror.Session{InterfaceID: "eni-" + id[len(id)-1:]})
}

// round does one after some time, and checks the calls.
func (d *desk) round(t *testing.T, after time.Duration, want string) *mirror.Report {
	t.Helper()
	d.now = d.now.Add(after)
	d.calls = nil
	report, _ := d.r.Reconcile(t.Context(), nil)
	if got := strings.Join(d.calls, ", "); got != want {
		t.Errorf("after %v: calls %q, want %q", after, got, want)
	}
	return report
}

// kinds returns the changes that were written, as "created 1".
func (d *desk) kinds() string {
	var list []string
	for _, c := range d.said {
		list = append(list, fmt.Sprintf("%s %s", c.Kind, strings.TrimLeft(c.InterfaceID[4:], "0")))
	}
	return strings.Join(list, ", ")
}

func refuse(code, message string) func(mirror.Verb, *mirror.Session) error {
	return func(mirror.Verb, *mirror.Session) error {
		return fmt.Errorf("ec2: %w", &mirror.Refusal{Code: code, Message: message})
	}
}
