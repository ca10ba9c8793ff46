// Command peers measures the collector beside what others use to keep mirrored
// traffic, and beside loops that do the least, on the machine it runs on, and
// prints what came of it as a table in Markdown.
//
//	make bench-peers
//	peers -only "periscope afpacket,tcpdump,limit afpacket" -sizes 504 -repeats 1
//
// Traffic goes from one network namespace to another, over a pair of interfaces
// it lays for each try; both end with the process. The sender has processor 0,
// the receiver processor 1. What receivers write goes below -dir, is bounded to
// 512 MiB, and is removed after each try.
//
// It is not a test: figures of a machine that does other work are of no use, and
// nothing is asserted but that packets are accounted for.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	c, err := parse(os.Args[1:])
	if err == nil {
		err = c.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// parse makes a course of the command line, and refuses what would fail later.
func parse(args []string) (*course, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &course{harness: &harness{}, began: time.Now(), results: results{limits: map[int]trial{}, figures: map[int]map[string]*figures{}}}
	flags := flag.NewFlagSet("peers", flag.ExitOnError)
	bin := flags.String("bin", filepath.Dir(self), "where periscope, blast, limit and imix are, in `DIR`")
	sizes := flags.String("sizes", "504,128,1450,8900", "bytes of an inner frame; the first is measured -repeats times, the others once")
	words := flags.String("only", "", "receivers whose name begins so, and replay; comma-separated; empty is all")
	flags.IntVar(&c.repeats, "repeats", 5, "measurements with the first size, and of replay")
	flags.BoolVar(&c.search, "search", true, "search for rates; false leaves the processor time at the common rate")
	flags.Float64Var(&c.plan.rate, "rate", 0, "packets a second at which processor time is measured; 0 is one for each size that all carry")
	flags.DurationVar(&c.look, "look", 3*time.Second, "how long a try lasts that brackets a rate, and one at the common rate")
	flags.DurationVar(&c.hold, "hold", 5*time.Second, "how long a try lasts that decides on a rate")
	flags.DurationVar(&c.budget, "budget", 33*time.Minute, "no repeat begins later")
	flags.StringVar(&c.scratch, "dir", "/dev/shm", "where receivers write, on tmpfs, in `DIR`")
	flags.StringVar(&c.disk, "disk", os.TempDir(), "where replay writes beside, on a disk, in `DIR`")
	flags.StringVar(&c.capture, "capture", "", "`FILE` for replay, as imix writes it; empty makes one")
	flags.Parse(args)
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%q: want flags and nothing else; a list with spaces goes in quotes", flags.Arg(0))
	}
	if c.sizes, err = parseSizes(*sizes); err != nil {
		return nil, err
	}
	if c.repeats < 1 {
		return nil, fmt.Errorf("-repeats %d: want 1 or more", c.repeats)
	}
	dir, err := filepath.Abs(*bin)
	if err != nil {
		return nil, err
	}
	c.programs = programs{periscope: filepath.Join(dir, "periscope"), limit: filepath.Join(dir, "limit"),
		blast: filepath.Join(dir, "blast"), imix: filepath.Join(dir, "imix")}
	c.receivers, c.replayed = c.programs.receivers(), true
	if *words != "" {
		chosen := strings.Split(*words, ",")
		c.receivers = only(c.receivers, chosen)
		c.replayed = slices.Contains(chosen, "replay")
		if len(c.receivers) == 0 && !c.replayed {
			return nil, fmt.Errorf("-only %s: no receiver's name begins so", *words)
		}
	}
	if c.capture != "" {
		if err := checkCapture(c.capture); err != nil {
			return nil, err
		}
	}
	return c, c.checkPrograms()
}

// run measures everything and prints it.
func (c *course) run() (err error) {
	const need = 3 << 30 // replay reads and writes 860 MB, receivers write 512 MiB
	switch free := available(); {
	case runtime.NumCPU() < 2:
		return errors.New("one processor: sender and receiver need one each")
	case free < need:
		return fmt.Errorf("%d MiB of memory available: files on tmpfs need %d", free>>20, need>>20)
	}
	for _, dir := range []*string{&c.scratch, &c.disk} {
		if *dir, err = os.MkdirTemp(*dir, "periscope-peers-"); err != nil {
			return err
		}
		defer os.RemoveAll(*dir)
	}
	go c.interrupt()
	if c.near, err = newSpace(0); err != nil {
		return err
	}
	if c.far, err = newSpace(1); err != nil {
		return err
	}
	c.say("about %v; nothing else should run on this machine", c.estimate().Round(time.Minute))
	if c.replayed {
		if err := c.replays(); err != nil {
			return err
		}
	}
	if len(c.receivers) == 0 {
		c.sizes = nil
	} else if err := c.live(); err != nil {
		return err
	}
	c.print(os.Stdout)
	return nil
}

// interrupt ends the process at a signal, and takes away what was written.
// Receivers end with it.
func (c *course) interrupt() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	<-signals
	os.RemoveAll(c.scratch)
	os.RemoveAll(c.disk)
	os.Exit(1)
}
