package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/cloud"
)

// A lookout is the cloud that the rules in force need, and counts what it sees. Its
// methods may be called from any goroutine.
type lookout struct {
	log     *slog.Logger
	filters bool // it looks for them too

	mu        sync.Mutex // guards what follows
	rules     *mirror.Rules
	cloud     *cloud.Cloud
	instances bool // it looks for them too
	seen      seen
}

// What the last look saw.
type seen struct {
	sessions int // that are the owner's
	sources  int // that rules want mirrored, if everything was looked at; else as before
}

var _ mirror.Cloud = (*lookout)(nil)

func newLookout(rules *mirror.Rules, filters bool, log *slog.Logger) *lookout {
	l := &lookout{log: log, filters: filters}
	l.want(rules)
	return l
}

// want has it look for what other rules may want.
func (l *lookout) want(rules *mirror.Rules) {
	l.mu.Lock()
	defer l.mu.Unlock()
	instances := wantsInstances(rules)
	if l.cloud == nil || instances != l.instances {
		if l.cloud != nil {
			l.cloud.Close()
		}
		l.cloud, l.instances = cloud.Open(cloud.Config{Account: here(), Instances: instances, Filters: l.filters, Log: l.log}), instances
	}
	l.rules = rules
}

// of returns the cloud.
func (l *lookout) of() *cloud.Cloud {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cloud
}

// forInstances reports whether it looks for instances.
func (l *lookout) forInstances() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.instances
}

// wantsInstances reports whether rules may want other interfaces than those of tasks.
func wantsInstances(rules *mirror.Rules) bool {
	return slices.ContainsFunc(rules.Sources, func(r mirror.Rule) bool {
		m := &r.Match
		return r.Mirror && len(m.Cluster)+len(m.Service)+len(m.Family)+len(m.TaskTag) == 0
	})
}

func (l *lookout) Look(ctx context.Context, hints []mirror.Hint) (*mirror.State, error) {
	state, err := l.of().Look(ctx, hints)
	if err == nil {
		l.see(state)
	}
	return state, err
}

func (l *lookout) see(state *mirror.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen.sessions = 0
	for i := range state.Sessions {
		if state.Sessions[i].Tags[mirror.TagOwner] == l.rules.Owner {
			l.seen.sessions++
		}
	}
	if !state.Whole {
		return
	}
	l.seen.sources = 0
	for i := range state.Sources {
		first := slices.IndexFunc(l.rules.Sources, func(r mirror.Rule) bool { return r.Match.Meets(&state.Sources[i]) })
		if first >= 0 && l.rules.Sources[first].Mirror {
			l.seen.sources++
		}
	}
}

// saw returns what the last look saw.
func (l *lookout) saw() seen {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen
}

func (l *lookout) Create(ctx context.Context, s mirror.Session, token string) (mirror.Session, error) {
	return l.of().Create(ctx, s, token)
}

func (l *lookout) Modify(ctx context.Context, s mirror.Session) error { return l.of().Modify(ctx, s) }

func (l *lookout) Delete(ctx context.Context, id string) error { return l.of().Delete(ctx, id) }
