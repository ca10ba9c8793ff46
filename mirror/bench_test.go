package mirror_test

import (
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/mirror"
)

// BenchmarkMake plans for an account that is full: half of its interfaces are
// mirrored, a quarter new and a quarter gone.
func BenchmarkMake(b *testing.B) {
	rules := parse(b, strings.Replace(toOne, targetA, targetN, 1))
	all := made(mirror.Make(rules, state(sources(1, 7500)), nil), 1)
	s := state(sources(2501, 10_000), all...)
	b.ReportAllocs()
	for b.Loop() {
		if plan := mirror.Make(rules, s, nil); len(plan.Actions) != 5000 {
			b.Fatalf("%d actions", len(plan.Actions))
		}
	}
}
