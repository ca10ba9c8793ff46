package nic

import (
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
)

func TestIndexOfWhatIsNotThere(t *testing.T) {
	for _, name := range []string{"", "absent0", strings.Repeat("x", 15), strings.Repeat("x", 16)} {
		if n := Index(name); n != 0 {
			t.Errorf("%q has index %d", name, n)
		}
	}
	if Present(0) || Present(1<<31-1) {
		t.Error("an interface that never was is there")
	}
}

// TestPresent follows an interface that gets another name, and one of its name
// after it.
func TestPresent(t *testing.T) {
	lab.Need(t, "ip")
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	ip := func(args string) {
		t.Helper()
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	ip("link add name near type veth peer name far")
	first := Index("near")
	if first == 0 || !Present(first) || first == Index("far") {
		t.Fatalf("near has index %d, far %d", first, Index("far"))
	}
	ip("link set near name other")
	if Index("near") != 0 || Index("other") != first || !Present(first) {
		t.Error("lost with its name")
	}
	ip("link del other")
	ip("link add name near type veth peer name far")
	if Present(first) || Index("near") == first || Index("near") == 0 {
		t.Error("a new interface is taken for the one before")
	}
}
