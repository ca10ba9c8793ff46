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
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/periscope-collector/periscope/interop/compare/round"
)

func main() {
	var l round.Load
	flag.IntVar(&l.Events, "events", 200_000, "events a round, in thousands")
	flag.IntVar(&l.Rate, "rate", 0, "events a second, 0 for as many as there can be")
	rounds := flag.Int("rounds", 5, "rounds of each side")
	dir := flag.String("dir", "", "`directory` for the spool (default: that of temporary files)")
	server := flag.Bool("server", false, "be the server")
	flag.Parse()
	if err := run(*server, *dir, l, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func run(server bool, dir string, l round.Load, rounds int) error {
	switch {
	case server:
		return serve(os.Stdin, os.Stdout)
	case l.Events <= 0 || l.Events%round.Step != 0:
		return fmt.Errorf("-events %d: want a multiple of %d", l.Events, round.Step)
	case rounds <= 0:
		return fmt.Errorf("-rounds %d: want 1 or more", rounds)
	}
	programs, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(programs)
	if err := build(programs); err != nil {
		return err
	}
	return compare(programs, dir, l, rounds)
}

// sides are what is compared, in the order of their turns: programs with arguments.
var sides = []struct {
	name    string
	command []string
}{
	{"periscope", []string{"periscope"}},
	{"otel", []string{"otel"}},
	{"otel-fresh", []string{"otel", "-fresh"}},
}

// build builds the programs of the sides into a directory.
func build(dir string) error {
	const here = "github.com/periscope-collector/periscope/interop/compare/"
	out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), here+"periscope", here+"otel").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build, in the directory interop: %w\n%s", err, out)
	}
	return nil
}

// compare has the sides take turns, and prints the medians.
func compare(programs, dir string, l round.Load, rounds int) error {
	server := exec.Command(os.Args[0], "-server")
	server.Stderr = os.Stderr
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
	figures := make([][]round.Figure, len(sides))
	for range rounds {
		for i, side := range sides {
			if err != nil {
				break
			}
			var f round.Figure
			f, err = send(programs, side.command, strings.TrimSpace(url), dir, l)
			figures[i] = append(figures[i], f)
		}
	}
	if err := errors.Join(err, in.Close(), server.Wait()); err != nil {
		return err
	}
	report(os.Stdout, figures, l, rounds)
	return nil
}

// send runs a side once.
func send(programs string, command []string, url, dir string, l round.Load) (f round.Figure, err error) {
	args := slices.Concat(command[1:], []string{"-url", url, "-dir", dir, "-events", fmt.Sprint(l.Events), "-rate", fmt.Sprint(l.Rate)})
	c := exec.Command(filepath.Join(programs, command[0]), args...)
	c.Env = append(os.Environ(), "GOMAXPROCS=1")
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return f, fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	return f, json.Unmarshal(out, &f)
}

func report(w io.Writer, figures [][]round.Figure, l round.Load, rounds int) {
	fmt.Fprintf(w, "%d events a round, ", l.Events)
	if l.Rate > 0 {
		fmt.Fprintf(w, "%d a second, ", l.Rate)
	}
	fmt.Fprintf(w, "medians of %d rounds (least to most)\n", rounds)
	fmt.Fprintf(w, "%-12s %28s %10s %12s %24s\n", "", "events per CPU second", "wall s", "MiB before", "peak MiB")
	var ours round.Figure
	var ratios []string
	for i, side := range sides {
		rate, least, most := spread(figures[i], func(f round.Figure) float64 { return f.PerSecond })
		peak, small, large := spread(figures[i], func(f round.Figure) float64 { return f.Peak })
		wall, _, _ := spread(figures[i], func(f round.Figure) float64 { return f.Wall })
		before, _, _ := spread(figures[i], func(f round.Figure) float64 { return f.Before })
		fmt.Fprintf(w, "%-12s %8.0f (%.0f to %.0f) %10.1f %12.1f %8.1f (%.1f to %.1f)\n", side.name, rate, least, most, wall, before, peak, small, large)
		if i == 0 {
			ours = round.Figure{PerSecond: rate, Peak: peak}
			continue
		}
		ratios = append(ratios, fmt.Sprintf("periscope against %s: %.1f times the events per CPU second, %.2f of the memory",
			side.name, ours.PerSecond/rate, ours.Peak/peak))
	}
	fmt.Fprintln(w, strings.Join(ratios, "\n"))
}

// spread returns the median of a figure, the least and the most.
func spread(figures []round.Figure, of func(round.Figure) float64) (median, least, most float64) {
	s := slices.SortedFunc(slices.Values(figures), func(a, b round.Figure) int { return cmp.Compare(of(a), of(b)) })
	return of(s[len(s)/2]), of(s[0]), of(s[len(s)-1])
}
