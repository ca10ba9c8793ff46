package nic

import (
	"maps"
	"os/exec"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/periscope-collector/periscope/internal/lab"
)

// TestEthtoolStats reads those of a veth, which has some for each queue, and of
// interfaces that have none.
func TestEthtoolStats(t *testing.T) {
	lab.Need(t, "ip")
	runtime.LockOSThread() // for good: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ip", "link", "add", "name", "near", "numrxqueues", "2", "type", "veth",
		"peer", "name", "far", "numrxqueues", "3").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	names := func(name string) (list []string) {
		for _, s := range ethtoolStats(name) {
			list = append(list, s.name)
		}
		return list
	}
	for _, want := range []string{"peer_ifindex", "rx_queue_0_drops", "rx_queue_2_drops"} {
		if got := names("far"); !slices.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	}
	if got := readAll("far"); !slices.Contains(slices.Collect(maps.Keys(got)), "rx_queue_N_drops") {
		t.Errorf("the queues are not summed up: %v", got)
	}
	for _, name := range []string{"lo", "absent", "", "a name that is longer than any"} {
		if got := names(name); got != nil {
			t.Errorf("%q: %q", name, got)
		}
	}
}

// TestWatch looks at real interfaces, one of which is not there.
func TestWatch(t *testing.T) {
	for _, name := range []string{"lo", "absent0"} {
		c := Watch(name, false)
		if got := c.Loss(c.at); got.Packets != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
