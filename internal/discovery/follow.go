package discovery

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
	"github.com/periscope-collector/periscope/session"
)

// follow takes over what changes say.
func (d *Discovery) follow(batch []changes.Change, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.follower
	left := make(map[string]uint64)
	t := telling{
		now: now, scope: d.scopeOf, heard: sync.OnceValue(d.heard), over: &f.over, left: left,
		ours: func(target string) bool {
			if len(d.targets) > 0 {
				return d.targets[target]
			}
			mine, known := d.aimedAtUs(target)
			return mine || !known
		},
		gone: func(e *session.Entry) int64 {
			until, _ := f.gone.get(e.Tenure())
			return until
		},
	}
	next, changed := t.run(batch, d.tenures)
	if ended := d.take(next, changed, now); len(changed) > 0 {
		d.log.Info("sessions changed, as whoever mirrors says", "changed", len(changed)-ended, "ended", ended)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for reason, n := range left {
		f.status.Left[reason] += n
	}
}

// scopeOf returns who lists the sessions of a place, or nil.
func (d *Discovery) scopeOf(p changes.Place) *scope {
	for _, s := range d.scopes {
		if account, region := s.where(); account == p.Account && region == p.Region {
			return s
		}
	}
	return nil
}

// Changes returns how it stands with the changes that are read, nil where none are.
func (d *Discovery) Changes() *Changes {
	f := d.follower
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	status := f.status
	status.Left = maps.Clone(status.Left)
	status.StaleSince = f.stale(time.Now())
	if f.s3 != nil {
		status.Calls = f.s3.Calls()
	}
	return &status
}

// heard reports whether what changes say is known, or cannot be.
func (f *follower) heard() bool {
	if f == nil {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tried
}

// alone reports whether it is changes alone that tell of a tenure of the journal:
// of its account and region there are some, and nobody is asked.
func (f *follower) alone(t *tenure) bool {
	p := changes.Place{Account: t.Workload.AccountID, Region: t.Workload.Region}
	if f == nil || f.d.scopeOf(p) != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.places, p)
}

// since returns since when changes may be missing, the zero time if none is.
func (f *follower) since(now time.Time) time.Time {
	if f == nil {
		return time.Time{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stale(now)
}

func (f *follower) stale(now time.Time) time.Time {
	last := f.status.LastSuccess
	if last.IsZero() {
		last = f.d.started
	}
	if now.Sub(last) <= unread {
		return time.Time{}
	}
	return last
}
