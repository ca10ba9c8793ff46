package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/command"
)

// patience bounds everything that tests of the program wait for. It is there to
// end a test that hangs, not to measure: with the race detector, and others at work
// beside it, a collector takes 20 s to learn 2,000 sessions.
const patience = 3 * time.Minute

const (
	exitOK      = command.ExitOK
	exitFailure = command.ExitFailure
	exitUsage   = command.ExitUsage
)

var scratch string // of the test run

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "periscope-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// program builds the program, once, with the race detector if the test has it.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "periscope")
	args := []string{"build", "-pgo=off", "-o", path} // as the tests are, so that nothing is compiled twice
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

// A process is a run of the program. stdout is complete once it has ended; log
// may be read any time.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdout bytes.Buffer
	log    transcript
	ended  chan struct{}
}

// A transcript collects what a process writes.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *transcript) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *transcript) String() string { return l.from(0) }

// from returns what was written from an offset on.
func (l *transcript) from(offset int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text.Bytes()[offset:])
}

func (l *transcript) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}

// newProcess returns a process that is not yet started.
func newProcess(t testing.TB, args ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = t.TempDir(), environment()
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.log
	p.cmd.WaitDelay = patience
	return p
}

// environment is that of the test, and has a program with the race detector not
// sleep for a second at its end.
func environment() []string { return append(os.Environ(), "GORACE=atexit_sleep_ms=0") }

// start starts the process, which does not outlive the test.
func (p *process) start() *process {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the state tells how it ended
	}()
	p.t.Cleanup(func() {
		p.kill()
		if p.t.Failed() {
			p.t.Logf("%s wrote:\n%s", p.cmd, last(p.log.String(), 8<<10))
		}
	})
	return p
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", s, err)
	}
}

// wait waits for the end and returns the exit status, -1 after a signal.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(2 * patience):
		p.t.Fatalf("%s has not ended after %s", p.cmd, 2*patience)
	}
	if log := p.log.String(); strings.Contains(log, "DATA RACE") || strings.Contains(log, "\ngoroutine ") {
		p.t.Errorf("%s:\n%s", p.cmd, log)
	}
	return p.cmd.ProcessState.ExitCode()
}

// waitLog waits until the log has as many matches of a pattern, and returns the
// submatches of that one, counted from 1.
func (p *process) waitLog(pattern string, count int) []string {
	p.t.Helper()
	return p.waitLogFrom(0, pattern, count)
}

// waitLogFrom is waitLog for what is written from an offset on.
func (p *process) waitLogFrom(offset int, pattern string, count int) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	var found [][]string
	eventually(p.t, fmt.Sprintf("%d of %q in the log", count, pattern), func() bool {
		if found = re.FindAllStringSubmatch(p.log.from(offset), -1); len(found) >= count {
			return true
		}
		select {
		case <-p.ended:
			p.t.Fatalf("%s ended with status %d while the test waited for %q", p.cmd, p.wait(), pattern)
		default:
		}
		return false
	})
	return found[count-1]
}

// A result is what a run of the program left.
type result struct {
	code           int
	stdout, stderr string
}

// run runs the program to its end.
func runProgram(t testing.TB, args ...string) result {
	t.Helper()
	return runWith(t, nil, args...)
}

// runWith runs the program with a standard input.
func runWith(t testing.TB, stdin []byte, args ...string) result {
	t.Helper()
	p := newProcess(t, args...)
	p.cmd.Stdin = bytes.NewReader(stdin)
	code := p.start().wait()
	return result{code, p.stdout.String(), p.log.String()}
}

// errorLine returns what the program says last, which is its error, without
// its name.
func (r result) errorLine(t testing.TB) string {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	text, ok := strings.CutPrefix(lines[len(lines)-1], "periscope: ")
	if !ok {
		t.Fatalf("no error on standard error:\n%s", r.stderr)
	}
	return text
}

// eventually waits for something that another process does.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}

// unavailable ends a test that cannot run here: it is skipped, or with CI=true
// it fails, since a skipped test proves nothing.
func unavailable(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func writeFile(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }

func isExist(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, os.ErrNotExist)
}
