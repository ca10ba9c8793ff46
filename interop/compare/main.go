// Command compare measures what it costs to send flow records as events to an HEC:
// by Periscope's Splunk sink, from the record on, through queue, encoder, a spool on
// disk, gzip and HTTP; and by the OpenTelemetry Collector's splunk_hec exporter, from
// finished log records on, through its queue in memory, JSON, gzip and HTTP.
//
// The exporter runs twice. As otel it gets the same 2,000 log records again and
// again, which costs it neither time nor memory. As otel-fresh each batch is a copy,
// as any source would make one, and what waits in its queue takes memory as it does
// in use; the copying is in its CPU time.
//
// All send the same events to the same server, which throws them away, each in a
// process of its own with GOMAXPROCS=1; the server is one more. They take turns, and
// medians are printed.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

func main() {
	events := flag.Int("events", 200_000, "events a round")
	rounds := flag.Int("rounds", 5, "rounds of each side")
	dir := flag.String("dir", "", "`directory` for the spool (default: that of temporary files)")
	side := flag.String("side", "", "what this process is: server, or one of those that send (default: who starts them)")
	url := flag.String("url", "", "where to send")
	rate := flag.Int("rate", 0, "events a second, 0 for as many as there can be")
	flag.Parse()
	if err := run(*side, *url, *dir, load{*events, *rate}, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// A load is what a side sends in a round.
type load struct{ events, rate int }

// steps yields the first number of every 1,000 events, when it is time for them.
func (l load) steps() iter.Seq[int] {
	start := time.Now()
	return func(yield func(int) bool) {
		for n := 0; n < l.events && yield(n); n += step {
			if l.rate > 0 {
				time.Sleep(time.Until(start.Add(time.Duration(n+step) * time.Second / time.Duration(l.rate))))
			}
		}
	}
}

// step is how many events are handed over at once.
const step = 1000

func run(side, url, dir string, l load, rounds int) error {
	if l.events <= 0 || l.events%step != 0 {
		return fmt.Errorf("-events %d: want a multiple of %d", l.events, step)
	}
	switch side {
	case "":
		return compare(dir, l, rounds)
	case "server":
		return serve(os.Stdin, os.Stdout)
	}
	s, found := sides[side]
	if !found {
		return fmt.Errorf("-side %s: want server, %s", side, strings.Join(order, ", "))
	}
	temp, err := os.MkdirTemp(dir, "compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	send, err := s(url, temp)
	if err != nil {
		return err
	}
	f, err := measure(func() error { return send(l) })
	if err != nil {
		return err
	}
	f.PerSecond = float64(l.events) / f.CPU
	return json.NewEncoder(os.Stdout).Encode(f)
}

// sides are what is compared. Each is made ready, and then sends.
var sides = map[string]func(url, dir string) (send func(load) error, err error){
	"periscope": periscope,
	"otel": func(url, _ string) (func(load) error, error) {
		return otel(url, func(l plog.Logs) plog.Logs { return l })
	},
	"otel-fresh": func(url, _ string) (func(load) error, error) {
		return otel(url, func(l plog.Logs) plog.Logs {
			fresh := plog.NewLogs()
			l.CopyTo(fresh)
			return fresh
		})
	},
}

// order is the one of their turns.
var order = []string{"periscope", "otel", "otel-fresh"}

// A figure is what a round cost.
type figure struct {
	PerSecond float64 // events a second of CPU time, user and system
	CPU, Wall float64 // seconds
	Before    float64 // memory before it sends, MiB resident
	Peak      float64 // memory, MiB resident at the most
}

// measure runs f.
func measure(f func() error) (figure, error) {
	before, err := memory("VmRSS:")
	if err != nil {
		return figure{}, err
	}
	cpu, start := cpuTime(), time.Now()
	if err := f(); err != nil {
		return figure{}, err
	}
	cpu, wall := cpuTime()-cpu, time.Since(start)
	peak, err := memory("VmHWM:")
	return figure{CPU: cpu.Seconds(), Wall: wall.Seconds(), Before: before, Peak: peak}, err
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

// compare has both sides take turns, and prints the medians.
func compare(dir string, l load, rounds int) error {
	server := child("-side", "server")
	in, err := server.StdinPipe()
	if err != nil {
		return err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return errors.Join(err, in.Close(), server.Wait())
	}
	figures := make(map[string][]figure)
	for range rounds {
		for _, side := range order {
			f, err := round(side, strings.TrimSpace(url), dir, l)
			if err != nil {
				return errors.Join(fmt.Errorf("%s: %w", side, err), in.Close(), server.Wait())
			}
			figures[side] = append(figures[side], f)
		}
	}
	report(os.Stdout, figures, l, rounds)
	return errors.Join(in.Close(), server.Wait())
}

// child returns this program as another process.
func child(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Stderr = os.Stderr
	return c
}

// round runs a side once.
func round(side, url, dir string, l load) (f figure, err error) {
	c := child("-side", side, "-url", url, "-dir", dir, "-events", fmt.Sprint(l.events), "-rate", fmt.Sprint(l.rate))
	c.Env = append(os.Environ(), "GOMAXPROCS=1")
	out, err := c.Output()
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(out, &f)
}

func report(w io.Writer, figures map[string][]figure, l load, rounds int) {
	fmt.Fprintf(w, "%d events a round, ", l.events)
	if l.rate > 0 {
		fmt.Fprintf(w, "%d a second, ", l.rate)
	}
	fmt.Fprintf(w, "medians of %d rounds (least to most)\n", rounds)
	fmt.Fprintf(w, "%-12s %28s %10s %12s %24s\n", "", "events per CPU second", "wall s", "MiB before", "peak MiB")
	median := make(map[string]figure)
	for _, side := range order {
		rate, least, most := spread(figures[side], func(f figure) float64 { return f.PerSecond })
		peak, small, large := spread(figures[side], func(f figure) float64 { return f.Peak })
		wall, _, _ := spread(figures[side], func(f figure) float64 { return f.Wall })
		before, _, _ := spread(figures[side], func(f figure) float64 { return f.Before })
		fmt.Fprintf(w, "%-12s %8.0f (%.0f to %.0f) %10.1f %12.1f %8.1f (%.1f to %.1f)\n", side, rate, least, most, wall, before, peak, small, large)
		median[side] = figure{PerSecond: rate, Peak: peak}
	}
	ours := median[order[0]]
	for _, side := range order[1:] {
		fmt.Fprintf(w, "periscope against %s: %.1f times the events per CPU second, %.2f of the memory\n",
			side, ours.PerSecond/median[side].PerSecond, ours.Peak/median[side].Peak)
	}
}

// spread returns the median of a figure, the least and the most.
func spread(figures []figure, of func(figure) float64) (median, least, most float64) {
	s := slices.SortedFunc(slices.Values(figures), func(a, b figure) int { return cmp.Compare(of(a), of(b)) })
	return of(s[len(s)/2]), of(s[0]), of(s[len(s)-1])
}
