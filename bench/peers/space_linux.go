package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A space is a network namespace of its own, entered by one thread, which runs
// what do is given and pins what it starts to one processor. It ends with the
// process.
type space struct {
	thread int
	calls  chan func()
}

// newSpace makes a namespace whose thread stays on the processor; below 0 it
// goes anywhere.
func newSpace(cpu int) (*space, error) {
	s := &space{calls: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		s.thread = unix.Gettid()
		made <- s.enter(cpu)
		for f := range s.calls {
			f()
		}
	}()
	return s, <-made
}

func (s *space) enter(cpu int) error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("make a network namespace: %w; run as root", err)
	}
	// /sys shows the interfaces of the namespace it was mounted in.
	err := errors.Join(unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""), unix.Mount("sysfs", "/sys", "sysfs", 0, ""))
	if err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	if cpu >= 0 {
		var set unix.CPUSet
		set.Set(cpu)
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return err
		}
	}
	return shell(`
		echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6
		ip link set lo up`)
}

// do runs f in the namespace.
func (s *space) do(f func() error) error {
	done := make(chan error)
	s.calls <- func() { done <- f() }
	return <-done
}

// shell runs lines of shell in the namespace of the calling thread.
func shell(lines string) error {
	if out, err := exec.Command("sh", "-euc", lines).CombinedOutput(); err != nil {
		return fmt.Errorf("set up the network: %w: %s", err, out)
	}
	return nil
}

// Addresses of both ends of the wire, and the MAC address of the far one, as
// blast has them.
const (
	nearAddr, farAddr = "10.9.0.2", "10.9.0.1"
	farMAC            = "02:00:00:00:00:01"
)

// A wire is a veth pair between two spaces: b0 sends, b1 receives.
type wire struct{ near, far *space }

// lay makes the pair anew. Its far end has GRO on, last, since it is then that
// the near one may send live frames; and an address if the receiver needs one.
// Without, the IP stack answers nothing, which is in a receiver's favour.
func (w wire) lay(mtu int, address bool) error {
	err := w.near.do(func() error {
		return shell(fmt.Sprintf(`
			ip link delete b0 2>/dev/null || true
			ip link add b0 mtu %d type veth peer name b1 mtu %d address %s netns %d
			ip link set b0 up`, mtu, mtu, farMAC, w.far.thread))
	})
	if err != nil {
		return err
	}
	lines := "ip link set b1 up\n"
	if address {
		lines += "ip address add " + farAddr + "/24 dev b1\n"
	}
	return w.far.do(func() error { return shell(lines + "ethtool -K b1 gro on") })
}

// counters returns what b1 received and what b0 dropped on the way there.
func (w wire) counters() (received, dropped uint64, err error) {
	const rxPackets, txDropped = 1, 11 // fields of /proc/net/dev
	if received, err = counter(w.far.thread, "b1", rxPackets); err != nil {
		return 0, 0, err
	}
	dropped, err = counter(w.near.thread, "b0", txDropped)
	return received, dropped, err
}

// counter reads a counter of an interface in the namespace of a thread.
func counter(thread int, name string, field int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/net/dev", thread))
	if err != nil {
		return 0, err
	}
	_, line, _ := strings.Cut(string(text), name+":")
	fields := strings.Fields(line)
	if len(fields) <= field {
		return 0, fmt.Errorf("no interface %s in %q", name, text)
	}
	return strconv.ParseUint(fields[field], 10, 64)
}
