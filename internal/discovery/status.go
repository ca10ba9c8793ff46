package discovery

import (
	"maps"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/mirror/changes"
)

// stalePolls is after how many polls without success a scope's sessions are
// stale.
const stalePolls = 3

// A Scope is how it stands with one account in one region.
type Scope struct {
	Account, Region string // empty as long as they are not known
	Role            string // ARN of the role taken on, empty for none

	LastSuccess time.Time // when the sessions were listed last; zero: not yet
	StaleSince  time.Time // since when what is known may be out of date; zero: it is not

	Error     string // what the last look could not do, empty for nothing
	ErrorKind string // in a word

	Sessions int               // known and not ended
	Skipped  map[string]int    // sessions that the last list had and that cannot be matched, by reason
	Calls    map[string]uint64 // requests since the start, by operation
	Errors   map[string]uint64 // looks that lacked something, by the ErrorKind of the first error
}

// SkipReasons are those of Skipped. The slice is the caller's.
func SkipReasons() []string {
	return []string{"limit", "no_address", "no_interface", "no_target", "no_vni", "odd"}
}

func (s *scope) status(now time.Time) Scope {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := Scope{
		Account: s.account, Region: s.api.Region(), Role: s.api.RoleARN(),
		LastSuccess: s.success, Skipped: maps.Clone(s.skipped), Calls: s.api.Calls(), Errors: maps.Clone(s.errors),
	}
	since := s.success
	if since.IsZero() {
		since = s.d.started
	}
	if now.Sub(since) > stalePolls*s.d.poll {
		status.StaleSince = since
	}
	if s.problem != nil {
		status.Error, status.ErrorKind = s.problem.Error(), awsapi.KindOf(s.problem).String()
	}
	return status
}

// heard reports whether the sessions were ever listed.
func (s *scope) heard() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.success.IsZero()
}

// Stale returns, of the mirror sessions that last, by id, since when what is known
// may be out of date: the scope that listed it last is stale, or none has listed it
// since the start. Of those that changes tell of, and nobody lists, changes may be
// missing. The map is the caller's.
func (d *Discovery) Stale() map[string]time.Time {
	now := time.Now()
	since := map[*scope]time.Time{nil: d.started}
	for _, s := range d.scopes {
		since[s] = s.status(now).StaleSince
	}
	untold := d.follower.since(now)
	stale := make(map[string]time.Time)
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.tenures {
		t := &d.tenures[i]
		at := since[t.scope]
		if t.scope == nil && t.told != (changes.Place{}) {
			at = untold
		}
		if t.Until == 0 && !at.IsZero() {
			stale[t.Workload.SessionID] = at
		}
	}
	return stale
}

// report takes down how a look went, and logs what is other than before.
func (s *scope) report(v *inventory, skipped map[string]int, problem error, now time.Time) {
	s.mu.Lock()
	before := s.problem
	s.problem = problem
	kind := awsapi.KindOf(problem)
	if problem != nil {
		s.errors[kind.String()]++
	}
	if v != nil {
		s.success, s.skipped = now, skipped
	}
	s.mu.Unlock()
	account, region := s.where()
	where := []any{"account", account, "region", region}
	if role := s.api.RoleARN(); role != "" {
		where = append(where, "role", role)
	}
	switch {
	case kind == awsapi.KindOf(before):
	case kind == awsapi.None:
		s.d.log.Info("AWS answers again", where...)
	case kind == awsapi.NoCredentials, kind == awsapi.NoMetadata:
		s.d.static.Do(func() {
			s.d.log.Warn("AWS cannot be asked: sessions are those of the session file and the journal", "error", problem)
		})
	default:
		s.d.log.Warn("AWS does not answer all; what is known stays in use", append(where, "kind", kind.String(), "error", problem)...)
	}
}
