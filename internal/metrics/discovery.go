package metrics

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/periscope-collector/periscope/internal/discovery"
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
	{"periscope_discovery_skipped_sessions", gauge, []string{"reason"},
		"Mirror sessions of the last lists that no frame can be matched with, by reason.", "0; some for a moment, of tasks that start or stop.",
		func(s *Snapshot, emit emit) {
			if s.Discovery != nil {
				for reason, n := range s.Discovery.Skipped {
					emit(float64(n), reason)
				}
			}
		}},
	{"periscope_changes_up", gauge, nil,
		"1 while the changes of mirror sessions can be read, 0 where that fails for a minute.", "1.",
		ofChanges(func(c *pipeline.Changes, emit emit) { emit(float(c.StaleSince.IsZero())) })},
	{"periscope_changes_read_total", counter, nil,
		"Changes of mirror sessions that were read.", "",
		ofChanges(func(c *pipeline.Changes, emit emit) { emit(float64(c.Read)) })},
	{"periscope_changes_left_out_total", counter, []string{"reason"},
		"Changes that are of no use, by reason.", stays0,
		ofChanges(func(c *pipeline.Changes, emit emit) {
			for reason, n := range c.LeftOut {
				emit(float64(n), reason)
			}
		})},
	{"periscope_mirror_refused_interfaces", gauge, []string{"code"},
		"Interfaces that AWS does not want mirrored, by the code of its latest refusal.", "0.",
		func(s *Snapshot, emit emit) {
			if s.Discovery != nil && s.Discovery.Changes != nil {
				for code, n := range refusedBy(s.Discovery.Refused) {
					emit(float64(n), code)
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

// ofChanges emits values of the changes, where they are read.
func ofChanges(values func(c *pipeline.Changes, emit emit)) func(*Snapshot, emit) {
	return func(s *Snapshot, emit emit) {
		if s.Discovery != nil && s.Discovery.Changes != nil {
			values(s.Discovery.Changes, emit)
		}
	}
}

// maxCodes is how many codes of refusals have series of their own, those of the most
// interfaces; all others are "other", which is there from the start.
const maxCodes = 50

// refusedBy counts refusals by code.
func refusedBy(list []discovery.Refusal) map[string]int {
	count := make(map[string]int)
	for i := range list {
		count[cleanCode(list[i].Code)]++
	}
	codes := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b))
	})
	other := 0
	for _, code := range codes[min(len(codes), maxCodes):] {
		other += count[code]
		delete(count, code)
	}
	count["other"] += other
	return count
}

// cleanCode returns a code of AWS as a label: such a one as UnsupportedOperation or
// Client.InvalidParameter, of 64 characters at most.
func cleanCode(code string) string {
	code = strings.Map(func(r rune) rune {
		if r <= unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '.' || r == '-') {
			return r
		}
		return '_'
	}, code)
	return cmp.Or(code[:min(len(code), 64)], "none")
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
