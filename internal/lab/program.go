package lab

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A Program runs in a namespace until it is stopped, or the test ends.
type Program struct {
	cmd  *exec.Cmd
	log  *log
	done chan struct{} // closed when the program has ended, after err is set
	err  error
}

// Start starts a program, and returns when a line it prints, on either output,
// contains ready. The test fails when the program ends before that, or does
// not get there within a minute. An empty ready waits for nothing.
func (n *Namespace) Start(ready, name string, args ...string) *Program {
	n.t.Helper()
	p := &Program{cmd: n.Command(name, args...), log: newLog(ready), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		n.t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	n.t.Cleanup(func() {
		p.cmd.Process.Kill() // it may have ended
		<-p.done
	})
	select {
	case <-p.log.ready:
	case <-p.done:
		n.t.Fatalf("%s ended before it printed %q: %v\n%s", name, ready, p.err, p.log)
	case <-time.After(patience):
		n.t.Fatalf("%s did not print %q within %v\n%s", name, ready, patience, p.log)
	}
	return p
}

// Stop sends the signal, waits for the program's end at most a minute, and
// returns what exec.Cmd.Wait did.
func (p *Program) Stop(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		return os.ErrDeadlineExceeded
	}
}

// Signal sends the signal.
func (p *Program) Signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Output returns what the program has printed so far.
func (p *Program) Output() string { return p.log.String() }

// A log keeps what a program prints, and tells when it contains a phrase.
type log struct {
	phrase string
	ready  chan struct{} // closed when the phrase was seen

	mu   sync.Mutex
	text strings.Builder
	seen bool
}

func newLog(phrase string) *log {
	l := &log{phrase: phrase, ready: make(chan struct{})}
	l.Write(nil) // an empty phrase is there from the start
	return l
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if !l.seen && strings.Contains(l.text.String(), l.phrase) {
		l.seen = true
		close(l.ready)
	}
	return len(b), nil
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
