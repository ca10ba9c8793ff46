package lab

import (
	"os"
	"os/exec"
	"testing"
)

// programs are what New itself runs.
var programs = []string{"ip", "tc", "ethtool", "tcpdump"}

// Need skips the test, with the remedy, unless it runs as root and finds every
// program. With CI=true in the environment it fails the test instead, since a
// skipped test proves nothing.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		unavailable(t, "needs root to make network namespaces: run the test as root")
	}
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			unavailable(t, "needs %s: run make tools", name)
		}
	}
}

func unavailable(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
