// Package round is what the two sides of the comparison have in common: the
// command line of a process that sends once, and what it measures of itself.
package round

import (
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"os"
	"strings"
	"syscall"
	"time"
)

// What the events have in common.
const (
	Host  = "collector-1"
	Index = "net"
	Token = "00000000-0000-4000-8000-000000000001"
)

const (
	// Kinds is how many different events there are; they come again and again.
	Kinds = 2000

	// Step is how many events are handed over at once.
	Step = 1000
)

// A Load is what is sent in a round.
type Load struct {
	Events int // a multiple of Step
	Rate   int // events a second, 0 for as many as there can be
}

// Steps yields the number of the first of every Step events, when it is time for
// them.
func (l Load) Steps() iter.Seq[int] {
	start := time.Now()
	return func(yield func(int) bool) {
		for n := 0; n < l.Events && yield(n); n += Step {
			if l.Rate > 0 {
				time.Sleep(time.Until(start.Add(time.Duration(n+Step) * time.Second / time.Duration(l.Rate))))
			}
		}
	}
}

// A Figure is what a round cost.
type Figure struct {
	PerSecond float64 // events a second of CPU time, user and system
	CPU, Wall float64 // seconds
	Before    float64 // memory before it sends, MiB resident
	Peak      float64 // memory, MiB resident at the most
}

// Main is that of a side. ready is given the URL of the server and a directory that
// is removed at the end, and returns what sends.
func Main(ready func(url, dir string) (send func(Load) error, err error)) {
	if err := run(ready); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ready func(url, dir string) (func(Load) error, error)) error {
	var l Load
	flag.IntVar(&l.Events, "events", 200_000, "events to send")
	flag.IntVar(&l.Rate, "rate", 0, "events a second, 0 for as many as there can be")
	url := flag.String("url", "", "where to send")
	dir := flag.String("dir", "", "`directory` for the spool (default: that of temporary files)")
	flag.Parse()
	temp, err := os.MkdirTemp(*dir, "compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	send, err := ready(*url, temp)
	if err != nil {
		return err
	}
	f, err := measure(func() error { return send(l) })
	if err != nil {
		return err
	}
	f.PerSecond = float64(l.Events) / f.CPU
	return json.NewEncoder(os.Stdout).Encode(f)
}

func measure(f func() error) (Figure, error) {
	before, err := memory("VmRSS:")
	if err != nil {
		return Figure{}, err
	}
	cpu, start := cpuTime(), time.Now()
	if err := f(); err != nil {
		return Figure{}, err
	}
	cpu, wall := cpuTime()-cpu, time.Since(start)
	peak, err := memory("VmHWM:")
	return Figure{CPU: cpu.Seconds(), Wall: wall.Seconds(), Before: before, Peak: peak}, err
}

// cpuTime returns the CPU time of this process so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // cannot fail with these arguments
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory returns a line of /proc/self/status in MiB. The peak in rusage would be
// that of the parent, if it was larger.
func memory(line string) (float64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(l, line); found {
			var kib float64
			_, err := fmt.Sscan(rest, &kib)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no %s", line)
}
