package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/command"
)

// patience bounds everything that tests of the program wait for. It is there to
// end a test that hangs, not to measure.
const patience = time.Minute

const (
	exitOK      = command.ExitOK
	exitFailure = command.ExitFailure
	exitUsage   = command.ExitUsage
)

var scratch string // of the test run

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "periscope-mirror-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(scratch)
	os.Exit(code)
}

// program builds the program, once, with the race detector if the test has it.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "periscope-mirror")
	args := []string{"build", "-pgo=off", "-tags", "lambda.norpc", "-o", path} // else as the tests are, so that little is compiled twice
	if raceEnabled {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return path, nil
})

// A process is a run of the program. Both outputs may be read any time.
type process struct {
	t           testing.TB
	cmd         *exec.Cmd
	stdout, log transcript
	ended       chan struct{}
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

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// start starts the program in a directory, with variables more than the test has. It
// does not outlive the test.
func start(t testing.TB, dir string, environment []string, args ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(append(os.Environ(), "GORACE=atexit_sleep_ms=0"), environment...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.log
	p.cmd.WaitDelay = patience
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the state tells how it ended
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s wrote:\n%s\n%s", p.cmd, p.stdout.String(), p.log.String())
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

// waitLog waits until the log has a text so many times.
func (p *process) waitLog(text string, count int) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%d of %q in the log", count, text), func() bool {
		select {
		case <-p.ended:
			p.t.Fatalf("%s ended while the test waited for %q", p.cmd, text)
		default:
		}
		return strings.Count(p.log.String(), text) >= count
	})
}

// A result is what a run of the program left.
type result struct {
	code           int
	stdout, stderr string
}

// runProgram runs the program to its end in a directory.
func runProgram(t testing.TB, dir string, args ...string) result {
	t.Helper()
	p := start(t, dir, nil, args...)
	code := p.wait()
	return result{code, p.stdout.String(), p.log.String()}
}

// eventually waits for something that another process does.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}

func writeFile(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
