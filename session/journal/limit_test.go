package journal_test

import (
	"os/signal"
	"testing"

	"golang.org/x/sys/unix"
)

// limit makes writes beyond a number of bytes of a file fail, as on a full disk,
// until unlimited.
func limit(t *testing.T, bytes int64) {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(unix.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(bytes), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unlimited(t) })
}

func unlimited(t *testing.T) {
	t.Helper()
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &now); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: now.Max, Max: now.Max}); err != nil {
		t.Fatal(err)
	}
	signal.Reset(unix.SIGXFSZ)
}
