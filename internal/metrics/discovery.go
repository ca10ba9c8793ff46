package metrics

import (
	"slices"

	"github.com/periscope-collector/periscope/internal/pipeline"
)

// discoveryRows are the metrics of what AWS is asked. Accounts and regions are
// those configured, and operations and kinds of errors a closed set.
var discoveryRows = []metric{
	{"periscope_discovery_up", gauge, []string{"account", "region"},
		"1 while AWS lists the sessions of an account in a region, 0 until it has done so, and when it has not for three polls, so that what was known last is in force.", "1.",
		eachScope(func(c *pipeline.Scope) float64 { return float(c.StaleSince.IsZero() && !c.LastSuccess.IsZero()) })},
	{"periscope_discovery_last_success_timestamp_seconds", gauge, []string{"account", "region"},
		"When AWS last listed them, in seconds since 1970 UTC; 0 for never.", "Not longer ago than aws.poll.",
		eachScope(func(c *pipeline.Scope) float64 { return seconds(c.LastSuccess) })},
	{"periscope_discovery_sessions", gauge, []string{"account", "region"},
		"Mirror sessions that are known and have not ended.", "",
		eachScope(func(c *pipeline.Scope) float64 { return float64(c.Sessions) })},
	{"periscope_discovery_calls_total", counter, []string{"operation"},
		"Calls of AWS, by operation.", "docs/operations.md says how many an hour.",
		func(s *Snapshot, emit emit) {
			if s.Discovery != nil {
				for operation, n := range s.Discovery.Calls {
					emit(float64(n), operation)
				}
			}
		}},
	{"periscope_discovery_errors_total", counter, []string{"kind"},
		"Polls, and looks for unknown senders, that lacked something asked of AWS, now or lately; by the first thing wrong.", stays0,
		func(s *Snapshot, emit emit) {
			if s.Discovery != nil {
				for kind, n := range s.Discovery.Errors {
					emit(float64(n), kind)
				}
			}
		}},
	{"periscope_journal_up", gauge, nil,
		"1 while the journal of who held which address when has what is known, or none is wanted; 0 where it cannot be opened or written, or its disk hangs.", "1.",
		func(s *Snapshot, emit emit) {
			if s.Discovery != nil {
				emit(float(s.Discovery.JournalError == ""))
			}
		}},
	{"periscope_journal_bytes", gauge, nil,
		"Size of the journal of who held which address when; 0 without one.", "Below aws.journal_size.",
		func(s *Snapshot, emit emit) {
			if s.Discovery != nil {
				emit(float64(s.Discovery.JournalBytes))
			}
		}},
}

// eachScope emits one value for each account and region. Of accounts that AWS
// has not named yet, which have the same labels, the first one counts.
func eachScope(value func(c *pipeline.Scope) float64) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		if s.Discovery == nil {
			return
		}
		scopes := s.Discovery.Scopes
		for i := range scopes {
			c := &scopes[i]
			same := func(o pipeline.Scope) bool { return o.Account == c.Account && o.Region == c.Region }
			if slices.IndexFunc(scopes, same) == i {
				emit(value(c), c.Account, c.Region)
			}
		}
	}
}
