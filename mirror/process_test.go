package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/changes"
)

// A process is a reconciler with what the test knows of its calls.
type process struct {
	w       *world
	r       *mirror.Reconciler
	changes *[]changes.Change // shared by all processes
	busy    bool
	round   map[string]bool // calls of this round
	calls   map[string]attempts
}

// attempts are those at one call that did not succeed, one after the other.
type attempts struct {
	last  time.Time
	times int
}

// again takes down that a call failed, and that it waited for long enough: shortest,
// doubling up to longest.
func (p *process) again(key string, shortest, longest time.Duration) {
	a := p.calls[key]
	since := p.w.now.Sub(a.last)
	wait := min(shortest<<min(max(a.times-1, 0), 10), longest)
	switch {
	case a.times == 0 || since > wait+time.Hour: // it is forgotten
		a.times = 0
	case since < wait:
		p.w.violation("%s again after %v, and it was to wait for %v", key, since, wait)
	}
	a.times++
	a.last = p.w.now
	p.calls[key] = a
}

// forgive forgets the failures about an interface: something was done to it.
func (p *process) forgive(id string) {
	for key := range p.calls {
		if strings.Contains(key, id) {
			delete(p.calls, key)
		}
	}
}

// did takes down what became of a call.
func (p *process) did(what string, s *mirror.Session, err error) error {
	key := what + s.InterfaceID + s.ID
	if p.round[key] {
		p.w.violation("%s twice in a round", key)
	}
	p.round[key] = true
	var refusal *mirror.Refusal
	switch {
	case err == nil:
		delete(p.calls, key)
	case errors.As(err, &refusal):
		delete(p.calls, key)
		p.again(fmt.Sprint("wish", s.ID, s.InterfaceID, s.TargetID, s.FilterID, s.Number, s.PacketLength), time.Minute, time.Hour)
	case errors.Is(err, mirror.ErrGone) && what != "create":
	default:
		p.again(key, time.Second, time.Minute)
	}
	return err
}

func (p *process) Look(_ context.Context, hints []mirror.Hint) (*mirror.State, error) {
	return p.w.look(hints)
}

func (p *process) Create(_ context.Context, s mirror.Session, token string) (made mirror.Session, err error) {
	err = p.w.call(func() (err error) { made, err = p.w.create(s, token); return err })
	return made, p.did("create", &s, err)
}

func (p *process) Modify(_ context.Context, s mirror.Session) error {
	return p.did("modify", &s, p.w.call(func() error { return p.w.modify(s) }))
}

func (p *process) Delete(_ context.Context, id string) error {
	s := mirror.Session{ID: id}
	if t := p.w.sessions[id]; t != nil {
		s = t.Session
	}
	return p.did("delete", &s, p.w.call(func() error { return p.w.remove(id) }))
}

// begin begins the process anew: its memory is lost, but for what was written, if
// anybody read that.
func (p *process) begin(rules *mirror.Rules) {
	p.calls = make(map[string]attempts)
	p.w.happened["memory lost"]++
	p.open(rules)
	if p.w.chance(50) {
		p.r.Restore(*p.changes)
	}
}

// open makes its reconciler.
func (p *process) open(rules *mirror.Rules) {
	p.r = mirror.New(mirror.Config{
		Rules: rules, Cloud: p, Account: account, Region: "eu-central-1", Now: func() time.Time { return p.w.now },
		Changes: func(_ context.Context, c changes.Change) error {
			if p.w.faulty && p.w.chance(10) {
				p.w.happened["change not written"]++
				return errors.New("the disk is full")
			}
			*p.changes = append(*p.changes, c)
			return nil
		},
	})
}

// change gives the process other rules, under which it may try everything again.
func (p *process) change(rules *mirror.Rules) {
	clear(p.calls)
	p.r.SetRules(rules)
}

// reconcile does a round, and the ones that follow at once. It returns how many
// actions were done, or failed.
func (p *process) reconcile(hints []mirror.Hint) (actions int) {
	if p.busy {
		return 0
	}
	p.busy = true
	defer func() { p.busy = false }()
	for round := 0; ; round++ {
		clear(p.round)
		report, err := p.r.Reconcile(context.Background(), hints)
		if report != nil {
			for _, result := range report.Results {
				if result.Outcome == mirror.Done || result.Outcome == mirror.Failed {
					actions++
				}
			}
		}
		if len(p.round) > mirror.MaxActions {
			p.w.violation("%d calls in a round", len(p.round))
		}
		if err != nil || !report.More {
			return actions
		}
		if round == 20 {
			p.w.violation("more than 20 rounds at once")
			return actions
		}
		hints = nil
	}
}
