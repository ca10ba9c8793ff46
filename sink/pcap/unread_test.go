package pcap

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// withLostAndFound returns a directory that holds one that cannot be read,
// before and behind which there are others: those of three sessions, each with
// a file of the given content and suffix.
func withLostAndFound(t *testing.T, content []byte, suffix string) string {
	t.Helper()
	dir := t.TempDir()
	// For a test of the superuser, who becomes somebody else.
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "lost+found"), 0); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"a", "m", "z"} {
		os.Mkdir(filepath.Join(dir, s), 0o777)
		os.Chmod(filepath.Join(dir, s), 0o777)
		path := filepath.Join(dir, s, s+"_20260314T150926.535Z_000001.pcap"+suffix)
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
		os.Chmod(path, 0o666)
		os.Chown(path, 65534, 65534) // setting times takes an owner
	}
	return dir
}

// unprivileged runs f without the superuser's right to read everything. Only
// the calling thread loses it.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	defer unix.Setfsuid(0)
	f()
}

func TestSalvagePassesOverUnreadable(t *testing.T) {
	dir := withLostAndFound(t, append(newFileHeader(MaxSnap), record("frame")...), partialSuffix)
	var text strings.Builder
	var got salvaged
	var err error
	unprivileged(t, func() { got, err = salvage(dir, slog.New(slog.NewTextHandler(&text, nil))) })
	if err != nil || got != (salvaged{finished: 3}) {
		t.Errorf("%+v, %v; want 3 finished", got, err)
	}
	if n := strings.Count(text.String(), "lost+found: "); n != 1 || !strings.Contains(text.String(), "level=WARN") {
		t.Errorf("lost+found is named %d times:\n%s", n, &text)
	}
	if _, err := salvage(filepath.Join(dir, "missing"), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

func TestRetentionPassesOverUnreadable(t *testing.T) {
	dir := withLostAndFound(t, nil, "")
	var text strings.Builder
	c := Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&text, nil))}
	r := newRetainer(&Sink{}, &c)
	for range 3 {
		unprivileged(t, r.scan)
		if len(r.files) != 3 {
			t.Errorf("%d files in the index, want 3", len(r.files))
		}
	}
	if n := strings.Count(text.String(), "lost+found: "); n != 1 {
		t.Errorf("lost+found is logged %d times:\n%s", n, &text)
	}
}
