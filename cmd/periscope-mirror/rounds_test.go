package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/mirror"
)

// A plain is a cloud with so many tasks to mirror, that does as it is told.
type plain struct {
	tasks  int
	made   map[string]mirror.Session // by interface
	at     map[string]time.Time      // when
	late   time.Duration             // of its lists
	ids    int
	create func() error
}

func (p *plain) Look(context.Context, []mirror.Hint) (*mirror.State, error) {
	state := &mirror.State{Whole: true, Targets: map[string]mirror.Target{homeTarget: {ID: homeTarget, Type: "network-load-balancer"}}}
	for i := range p.tasks {
		id := fmt.Sprintf("eni-%017x", i)
		state.Sources = append(state.Sources, mirror.Source{InterfaceID: id, Type: "interface", Task: &mirror.Task{Cluster: "shop", Service: "web"}})
		if s, ok := p.made[id]; ok && time.Since(p.at[id]) >= p.late {
			state.Sessions = append(state.Sessions, s)
		}
	}
	return state, nil
}

func (p *plain) Create(_ context.Context, s mirror.Session, _ string) (mirror.Session, error) {
	if p.create != nil {
		if err := p.create(); err != nil {
			return s, err
		}
	}
	p.ids++
	s.ID = fmt.Sprintf("tms-%017x", p.ids)
	p.made[s.InterfaceID], p.at[s.InterfaceID] = s, time.Now()
	return s, nil
}

func (p *plain) Modify(context.Context, mirror.Session) error { return errors.New("not expected") }
func (p *plain) Delete(context.Context, string) error         { return errors.New("not expected") }

func newPlain(t *testing.T, tasks int) (*plain, *mirrorer) {
	t.Helper()
	rules, err := mirror.Parse("rules", []byte(homeRules))
	if err != nil {
		t.Fatal(err)
	}
	p := &plain{tasks: tasks, made: make(map[string]mirror.Session), at: make(map[string]time.Time)}
	return p, &mirrorer{Reconciler: mirror.New(mirror.Config{Rules: rules, Cloud: p})}
}

// Rounds go on until all is done.
func TestRounds(t *testing.T) {
	p, m := newPlain(t, 2*mirror.MaxActions+1)
	rounds := 0
	if err := m.rounds(t.Context(), nil, func(*mirror.Report) { rounds++ }); err != nil || rounds != 3 || len(p.made) != p.tasks {
		t.Errorf("%d of %d sessions after %d rounds, %v", len(p.made), p.tasks, rounds, err)
	}
}

// What is left to do when the time is over is an error.
func TestRoundsEnd(t *testing.T) {
	p, m := newPlain(t, 10)
	ctx, cancel := context.WithCancel(t.Context())
	p.create = func() error {
		if len(p.made) == 3 {
			cancel()
		}
		return nil
	}
	err := m.rounds(ctx, nil, func(*mirror.Report) {})
	if !errors.Is(err, context.Canceled) || err.Error() != "stopped with 6 actions left to do: context canceled" || len(p.made) != 4 {
		t.Errorf("%d sessions, %v", len(p.made), err)
	}
}

// An error ends them, and what was done until then was told.
func TestRoundsFail(t *testing.T) {
	p, m := newPlain(t, 3)
	p.create = func() error { return errors.New("no") }
	told := 0
	err := m.rounds(t.Context(), nil, func(r *mirror.Report) { told += len(r.Results) })
	if err == nil || told != 3 {
		t.Errorf("told of %d, %v", told, err)
	}
}
