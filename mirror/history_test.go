package mirror_test

import (
	"flag"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/mirror"
)

var (
	history   = flag.Uint64("history", 0, "the one history to do, by its number; 0 for all")
	histories = flag.Int("histories", 10_000, "how many histories to do")
)

// What is wanted, before and after somebody changes it.
var wanted = [2]string{`
targets: [{id: ` + targetA + `, max_sources: 3}, {id: ` + targetB + `, max_sources: 4}, {id: ` + targetN + `}]
vni: {from: 100, to: 139}
sources:
  - {name: never, match: {service: [skip]}, mirror: false}
  - {name: web, match: {service: [web]}, filter: tmf-00000001}
  - {name: db, match: {service: [db]}, filter: tmf-00000002, number: 2, packet_length: 100, targets: [` + targetA + `, ` + targetB + `]}
`, `
targets: [{id: ` + targetA + `, max_sources: 3}, {id: ` + targetB + `, max_sources: 2}, {id: ` + targetN + `}]
vni: {from: 100, to: 139}
sources:
  - {name: db, match: {service: [db]}, mirror: false}
  - {name: web, match: {cluster: [prod]}, filter: tmf-00000003, number: 3, vni: 120, targets: [` + targetN + `, ` + targetB + `]}
`}

// TestHistories does random histories: tasks start and stop, events are late,
// repeated or lost, sessions are made and deleted by others, calls are throttled,
// refused for a time or for good, or done though the answer says they are not, lists
// are late, processes lose their memory, two of them work at once with rules that
// change. When nothing goes wrong any more, all come to what is wanted. Meanwhile
//   - no session of others is touched,
//   - no interface has two of ours, and of what is wished for twice in ten minutes
//     one is made,
//   - a round makes each call once, and at most mirror.MaxActions of them;
//   - of n calls in a row that fail the last is made after 1 s + 2 s + ... up to
//     1 min each, n-1 of them, and of n wishes in a row that are refused after
//     1 min + 2 min + ... up to 1 h each.
//
// One that fails is done again with go test -run TestHistories -history NUMBER.
func TestHistories(t *testing.T) {
	var rules [2]*mirror.Rules
	for i := range rules {
		rules[i] = parse(t, wanted[i])
	}
	first, last := uint64(1), uint64(*histories)
	if *history != 0 {
		first, last = *history, *history
	}
	var mu sync.Mutex
	var slowest time.Duration
	next, failed := first, 0
	happened := make(map[string]int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				mu.Lock()
				seed := next
				next++
				stop := seed > last || failed > 5
				mu.Unlock()
				if stop {
					return
				}
				s := newStory(seed, rules)
				took, faults := s.tell()
				mu.Lock()
				for what, n := range s.happened {
					happened[what] += n
				}
				if slowest = max(slowest, took); len(faults) > 0 {
					failed++
					t.Errorf("history %d:\n%s", seed, strings.Join(faults[:min(len(faults), 5)], "\n"))
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	for _, what := range worries {
		if *history == 0 && happened[what] < *histories/100 {
			t.Errorf("%s: %d times in %d histories; they show too little", what, happened[what], *histories)
		}
	}
	t.Logf("%v", happened)
	t.Logf("histories %d to %d; the slowest was as wanted %v after the last fault", first, last, slowest)
}
