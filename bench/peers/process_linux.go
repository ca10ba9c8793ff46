package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A process is a receiver that runs.
type process struct {
	cmd   *exec.Cmd
	out   *printout
	ended chan struct{} // closed when it has, after err is set
	err   error

	anon uint64 // most anonymous memory seen, bytes; valid when ended is closed
}

const patience = 15 * time.Second

// start runs the command, in a space if there is one, and returns when it is
// ready; an empty phrase waits for nothing.
func start(s *space, args []string, ready string) (*process, error) {
	p := &process{cmd: exec.Command(args[0], args[1:]...), out: newPrintout(ready), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	run := p.cmd.Start
	if s != nil {
		run = func() error { return s.do(p.cmd.Start) }
	}
	if err := run(); err != nil {
		return nil, err
	}
	go p.watch()
	select {
	case <-p.out.ready:
	case <-p.ended:
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), p.err, p.out)
	case <-time.After(patience):
		p.kill()
		return nil, fmt.Errorf("%s: not ready after %v: %s", strings.Join(args, " "), patience, p.out)
	}
	return p, nil
}

// watch samples the memory until the process ends.
func (p *process) watch() {
	wait := make(chan error)
	go func() { wait <- p.cmd.Wait() }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case p.err = <-wait:
			close(p.ended)
			return
		case <-tick.C:
			p.anon = max(p.anon, anonymous(p.cmd.Process.Pid))
		}
	}
}

// cpu returns the processor time of all threads so far.
func (p *process) cpu() time.Duration {
	const scheduler = 2 // CPUCLOCK_SCHED: clock_getcpuclockid(3)
	var t unix.Timespec
	unix.ClockGettime(int32(^p.cmd.Process.Pid<<3|scheduler), &t) // of a process that ended it is 0
	return time.Duration(t.Nano())
}

// settle waits until the process has had so long to itself, and does next to
// nothing.
func (p *process) settle(d time.Duration) {
	time.Sleep(d)
	const look = 50 * time.Millisecond
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		before := p.cpu()
		time.Sleep(look)
		if p.cpu()-before < look/5 {
			return
		}
	}
}

// stop ends the process, and returns all the processor time it had.
func (p *process) stop(signal os.Signal) (time.Duration, error) {
	if err := p.cmd.Process.Signal(signal); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", p.cmd, err, p.out)
	}
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.kill()
		return 0, fmt.Errorf("%s: still there %v after %v: %s", p.cmd, patience, signal, p.out)
	}
	if p.err != nil {
		return 0, fmt.Errorf("%s: %w: %s", p.cmd, p.err, p.out)
	}
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime(), nil
}

// kill ends a process that may have ended.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// anonymous returns the anonymous memory of a process in bytes, or 0.
func anonymous(pid int) uint64 { return kilobytes(fmt.Sprintf("/proc/%d/status", pid), "RssAnon:") }

// available returns the memory that nothing needs, in bytes.
func available() uint64 { return kilobytes("/proc/meminfo", "MemAvailable:") }

// kilobytes returns what a file says behind a word, in bytes, or 0.
func kilobytes(file, word string) uint64 {
	text, _ := os.ReadFile(file)
	_, rest, _ := strings.Cut(string(text), word)
	line, _, _ := strings.Cut(rest, " kB")
	n, _ := strconv.ParseUint(strings.TrimSpace(line), 10, 64)
	return n << 10
}

// busy returns the processor time that all processors of the machine spent on
// anything, in steps of 10 ms.
func busy() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	const tick = 10 * time.Millisecond
	var sum time.Duration
	for i, field := range strings.Fields(line) {
		switch i {
		case 1, 2, 3, 6, 7: // user, nice, system, irq, softirq
			n, _ := strconv.Atoi(field)
			sum += time.Duration(n) * tick
		}
	}
	return sum
}

// A printout keeps what a program prints, and tells when a phrase is in it.
type printout struct {
	phrase string
	ready  chan struct{} // closed then

	mu   sync.Mutex
	text strings.Builder
	seen bool
}

func newPrintout(phrase string) *printout {
	o := &printout{phrase: phrase, ready: make(chan struct{})}
	o.Write(nil) // an empty phrase is there from the start
	return o
}

func (o *printout) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	if !o.seen && strings.Contains(o.text.String(), o.phrase) {
		o.seen = true
		close(o.ready)
	}
	return len(b), nil
}

func (o *printout) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
