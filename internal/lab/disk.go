package lab

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Disk mounts a file system of so many bytes, in memory and until the test ends,
// and returns where.
func Disk(t testing.TB, bytes int) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		unavailable(t, "needs root to mount a small file system: run the test as root")
	}
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}
