// Package leak has the tests of a package fail that leave goroutines behind.
package leak

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long goroutines that end by themselves have for that: those of the
// AWS SDK try again for some seconds, and a busy machine does not run them at once.
const patience = time.Minute

// Check runs the tests of a package, and fails if goroutines of theirs do not end.
// It is for TestMain, and does not return.
func Check(m *testing.M) { goleak.VerifyTestMain(patient{m}) }

type patient struct{ *testing.M }

func (p patient) Run() int {
	code := p.M.Run()
	for end := time.Now().Add(patience); code == 0 && time.Now().Before(end) && goleak.Find() != nil; {
	}
	return code
}
