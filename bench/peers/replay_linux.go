package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A run is a program that reads the capture file, and what it took, once a
// repeat. In a command FILE is that file and DIR a directory of its own.
type run struct {
	name    string
	command string // of a shell
	disk    bool   // DIR is on the disk, else on tmpfs

	wall []float64 // seconds
	cpu  []float64 // seconds, user and system
	anon uint64    // most anonymous memory, bytes
}

// Names of runs that are held against each other.
const (
	replayCount, tcpdumpCount = "periscope replay, no output, one worker", "tcpdump -nr FILE -w /dev/null"
	replayPcap, replayDisk    = "periscope replay --out DIR", "periscope replay --out DIR, on disk"
	copyPcap, copyDisk        = "cp --reflink=never", "cp --reflink=never, on disk"
	editcapPcap, tcpdumpPcap  = "editcap -C 50", "tcpdump -r FILE -w DIR/out"
)

func (p programs) runs() []*run {
	collector := p.periscope + " replay --summary /dev/null"
	return []*run{
		{name: replayCount, command: collector + " --workers 1 FILE"},
		{name: tcpdumpCount, command: "tcpdump -Z root -nr FILE -w /dev/null"},
		{name: replayPcap, command: collector + " --out DIR FILE"},
		{name: copyPcap, command: "cp --reflink=never FILE DIR/out"},
		{name: editcapPcap, command: "editcap -C 50 FILE DIR/out"},
		{name: tcpdumpPcap, command: "tcpdump -Z root -r FILE -w DIR/out"},
		{name: replayDisk, disk: true, command: collector + " --out DIR FILE && sync -f DIR"},
		{name: copyDisk, disk: true, command: "cp --reflink=never FILE DIR/out && sync -f DIR"},
	}
}

// replays measures the runs, in turn, with both processors at their disposal.
func (c *course) replays() error {
	c.replay = c.runs()
	file := c.capture
	if file == "" {
		file = filepath.Join(c.scratch, "imix.pcap")
		defer os.Remove(file)
		if out, err := exec.Command(c.imix, file).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", c.imix, err, out)
		}
	}
	for range c.repeats {
		for _, r := range c.replay {
			place := c.scratch
			if r.disk {
				place = c.disk
			}
			if err := r.once(file, place); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			c.say("%s: %.2f s, CPU %.2f s", r.name, r.wall[len(r.wall)-1], r.cpu[len(r.cpu)-1])
		}
	}
	return nil
}

func (r *run) once(file, place string) error {
	dir, err := os.MkdirTemp(place, "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	command := strings.NewReplacer("FILE", file, "DIR", dir).Replace(r.command)
	if !strings.Contains(command, "&&") {
		command = "exec " + command // its memory is what is sampled
	}
	began := time.Now()
	p, err := start(nil, []string{"sh", "-c", command}, "")
	if err != nil {
		return err
	}
	<-p.ended
	if p.err != nil {
		return errors.Join(p.err, errors.New(p.out.String()))
	}
	s := p.cmd.ProcessState
	r.wall = append(r.wall, time.Since(began).Seconds())
	r.cpu = append(r.cpu, (s.UserTime() + s.SystemTime()).Seconds())
	r.anon = max(r.anon, p.anon)
	return nil
}
