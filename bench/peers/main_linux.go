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
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	c, err := parse()
	if err == nil {
		err = c.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// parse makes a course of the command line.
func parse() (*course, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &course{harness: &harness{}, began: time.Now(), results: results{limits: map[int]trial{}, figures: map[int]map[string]*figures{}}}
	bin := flag.String("bin", filepath.Dir(self), "where periscope, blast, limit and imix are, in `DIR`")
	sizes := flag.String("sizes", "504,128,1450,8900", "bytes of an inner frame; the first is measured -repeats times, the others once")
	words := flag.String("only", "", "receivers whose name begins so, and replay; comma-separated; empty is all")
	flag.IntVar(&c.repeats, "repeats", 5, "measurements with the first size, and of replay")
	flag.BoolVar(&c.search, "search", true, "search for rates; false leaves the processor time at the common rate")
	flag.Float64Var(&c.plan.rate, "rate", 0, "packets a second at which processor time is measured; 0 is one for each size that all carry")
	flag.DurationVar(&c.look, "look", 3*time.Second, "how long a try lasts that brackets a rate, and one at the common rate")
	flag.DurationVar(&c.hold, "hold", 5*time.Second, "how long a try lasts that decides on a rate")
	flag.DurationVar(&c.budget, "budget", 33*time.Minute, "no repeat begins later")
	flag.StringVar(&c.scratch, "dir", "/dev/shm", "where receivers write, on tmpfs, in `DIR`")
	flag.StringVar(&c.disk, "disk", os.TempDir(), "where replay writes beside, on a disk, in `DIR`")
	flag.StringVar(&c.capture, "capture", "", "`FILE` for replay, as imix writes it; empty makes one")
	flag.Parse()
	for word := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("-sizes %s: %w", *sizes, err)
		}
		c.sizes = append(c.sizes, n)
	}
	if c.repeats < 1 {
		return nil, fmt.Errorf("-repeats %d: want 1 or more", c.repeats)
	}
	c.programs = programs{periscope: filepath.Join(*bin, "periscope"), limit: filepath.Join(*bin, "limit"),
		blast: filepath.Join(*bin, "blast"), imix: filepath.Join(*bin, "imix")}
	c.receivers, c.replayed = c.programs.receivers(), true
	if *words != "" {
		chosen := strings.Split(*words, ",")
		c.receivers = only(c.receivers, chosen)
		c.replayed = slices.Contains(chosen, "replay")
		if len(c.receivers) == 0 && !c.replayed {
			return nil, fmt.Errorf("-only %s: no receiver's name begins so", *words)
		}
	}
	return c, nil
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
