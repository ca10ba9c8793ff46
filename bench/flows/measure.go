package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A program accounts for the flows of a file of bare frames, into a directory.
type program struct {
	name string
	args func(file, dir string) []string
	cpu  []time.Duration // user and system, of each round

	config string // of 5m.yaml in dir; may be empty
}

// measure runs the programs in turn, and prints what a packet costs each.
func measure(args []string) error {
	flags := flag.NewFlagSet("measure", flag.ExitOnError)
	periscope := flags.String("periscope", "bin/periscope", "the program to measure")
	rounds := flags.Int("rounds", 5, "runs of each program")
	scratch := flags.String("dir", "/dev/shm", "where flows are written")
	flags.Parse(args)
	if flags.NArg() != 1 || *rounds < 1 {
		return errors.New("want one file of bare frames, as gen writes it, and a round or more")
	}
	file := flags.Arg(0)
	packets, err := count(file)
	if err != nil {
		return err
	}
	discard, err := net.ListenPacket("udp", "127.0.0.1:0") // what softflowd sends
	if err != nil {
		return err
	}
	defer discard.Close()
	go io.Copy(io.Discard, discard.(*net.UDPConn))

	programs := programs(*periscope, discard.LocalAddr().String())
	for range *rounds {
		for _, p := range programs {
			if err := p.run(file, *scratch); err != nil {
				return err
			}
		}
	}
	fmt.Printf("%s: %d packets; %d cores, medians of %d in turn\n\n", filepath.Base(file), packets, runtime.NumCPU(), *rounds)
	fmt.Printf("%-34s %10s %24s %16s %10s\n", "program", "CPU s", "ns/packet (min-max)", "packets/CPU-s", "to nfpcapd")
	base := programs[len(programs)-1].median()
	for _, p := range programs {
		perPacket := func(d time.Duration) float64 { return float64(d) / float64(packets) }
		middle := p.median()
		fmt.Printf("%-34s %10.2f %24s %16.0f %10.2f\n", p.name, middle.Seconds(),
			fmt.Sprintf("%.0f (%.0f-%.0f)", perPacket(middle), perPacket(p.cpu[0]), perPacket(p.cpu[len(p.cpu)-1])),
			float64(packets)/middle.Seconds(), base.Seconds()/middle.Seconds())
	}
	return nil
}

// programs returns what is measured; the last one is what the others are held
// against. Softflowd may keep all flows, which is in its favour: by default it
// keeps 8,192 and looks for one to give up for each one more. Both others write
// one record for a flow that lives no longer than 5 minutes; of ours the default
// is one a minute.
func programs(periscope, collector string) []*program {
	replay := func(more ...string) func(file, dir string) []string {
		return func(file, dir string) []string {
			args := []string{periscope, "replay", "--workers", "1", "--bare-vni", "7"}
			for _, m := range more {
				args = append(args, strings.ReplaceAll(m, "DIR", dir))
			}
			return append(args, file)
		}
	}
	return []*program{
		{name: "periscope replay, counting only", args: replay()},
		{name: "periscope replay --flows", args: replay("--flows", "DIR/flows")},
		{name: "the same, records of 5 minutes", args: replay("--config", "DIR/5m.yaml"), config: "sinks: {flowlog: {dir: flows, interval: 5m}}\n"},
		{name: "softflowd", args: func(file, dir string) []string {
			return []string{"softflowd", "-d", "-r", file, "-m", "4000000", "-n", collector, "-v", "9",
				"-p", filepath.Join(dir, "pid"), "-c", "none"}
		}},
		{name: "nfpcapd", args: func(file, dir string) []string { return []string{"nfpcapd", "-r", file, "-l", dir} }},
	}
}

// run measures one round.
func (p *program) run(file, scratch string) error {
	dir, err := os.MkdirTemp(scratch, "periscope-flows-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if p.config != "" {
		if err := os.WriteFile(filepath.Join(dir, "5m.yaml"), []byte(p.config), 0o644); err != nil {
			return err
		}
	}
	args := p.args(file, dir)
	cmd := exec.Command(args[0], args[1:]...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", p.name, err, out)
	}
	p.cpu = append(p.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	slices.Sort(p.cpu)
	return nil
}

func (p *program) median() time.Duration { return p.cpu[len(p.cpu)/2] }

// count returns the number of packets in a file that gen has written, and has
// all of it read once, so that no program pays for the disk.
func count(name string) (packets int, err error) {
	file, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 1<<20)
	if _, err := r.Discard(24); err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	for {
		header, err := r.Peek(16)
		if len(header) == 0 && errors.Is(err, io.EOF) {
			return packets, nil
		}
		if err != nil {
			return 0, fmt.Errorf("%s: after %d packets: %w", name, packets, err)
		}
		if _, err := r.Discard(16 + int(binary.LittleEndian.Uint32(header[8:]))); err != nil {
			return 0, fmt.Errorf("%s: after %d packets: %w", name, packets, err)
		}
		packets++
	}
}
