package lab

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// prefix begins the name of every namespace a lab makes. The process id of the
// test follows, so that a later lab can tell what was left behind.
const prefix = "periscope-lab-"

// A Namespace is a network namespace: one host of the lab.
type Namespace struct {
	t    testing.TB
	name string
	gone bool
}

// makeNamespaces makes one namespace for each word, and has them removed with
// all that runs in them when the test ends.
func makeNamespaces(t testing.TB, words ...string) []*Namespace {
	t.Helper()
	sweep(t)
	id := fmt.Sprintf("%s%d-%04x-", prefix, os.Getpid(), rand.N(1<<16))
	var made []*Namespace
	for _, word := range words {
		n := &Namespace{t: t, name: id + word}
		run(t, "ip", "netns", "add", n.name)
		t.Cleanup(n.remove)
		made = append(made, n)
	}
	return made
}

// sweep removes the namespaces of tests that died before they could. Another test
// may be at it, too.
func sweep(t testing.TB) {
	t.Helper()
	for line := range strings.Lines(run(t, "ip", "netns", "list")) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest, ours := strings.CutPrefix(name, prefix)
		word, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(word)
		if !ours || err != nil || syscall.Kill(pid, 0) != syscall.ESRCH {
			continue
		}
		if err := remove(name); err != nil {
			if _, gone := os.Stat("/run/netns/" + name); gone == nil {
				t.Fatal(err)
			}
		}
	}
}

// remove ends the namespace, unless that has been done.
func (n *Namespace) remove() {
	n.t.Helper()
	if !n.gone {
		n.gone = true
		if err := remove(n.name); err != nil {
			n.t.Fatal(err)
		}
	}
}

// remove kills what runs in the namespace and deletes it; its interfaces go
// with it.
func remove(name string) error {
	pids, err := tryOutput(exec.Command("ip", "netns", "pids", name))
	if err != nil {
		return err
	}
	for word := range strings.FieldsSeq(pids) {
		if pid, err := strconv.Atoi(word); err == nil {
			syscall.Kill(pid, syscall.SIGKILL) // it may be gone already
		}
	}
	_, err = tryOutput(exec.Command("ip", "netns", "delete", name))
	return err
}

// Command returns a command that runs the program in the namespace. It is
// killed when the test ends.
func (n *Namespace) Command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(n.t.Context(), "ip", append([]string{"netns", "exec", n.name, name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = patience
	return cmd
}

// Run runs the program to its end and returns what it printed on standard
// output. The test fails unless the program exits with 0.
func (n *Namespace) Run(name string, args ...string) string {
	n.t.Helper()
	return output(n.t, n.Command(name, args...))
}

// shell runs lines of shell in the namespace. /proc/sys/net and /sys/class/net
// are then those of the namespace.
func (n *Namespace) shell(lines string) {
	n.t.Helper()
	n.Run("sh", "-euc", lines)
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	return output(t, exec.Command(name, args...))
}

func output(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := tryOutput(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryOutput(cmd *exec.Cmd) (string, error) {
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, out, complaint.String())
	}
	return string(out), nil
}

// patience is how long the lab waits for anything that takes milliseconds on an
// idle machine.
const patience = time.Minute

// Eventually waits until ready reports true, and fails the test when it has
// not after a minute. ready is called every 20 ms.
func Eventually(t testing.TB, what string, ready func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}
