// Command rate measures a running collector from outside: the highest rate that
// `periscope send` reaches without a loss, and the processor time it costs per
// packet. Beside it, in turn, it measures a bare recvmmsg loop that discards, so
// that what the kernel and the machine take is known.
//
//	go run ./bench/rate -periscope bin/periscope
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "discard" {
		if err := discard(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "rate discard:", err)
			os.Exit(1)
		}
		return
	}
	var b benchmark
	flag.StringVar(&b.periscope, "periscope", "bin/periscope", "the collector to measure")
	flag.IntVar(&b.rounds, "rounds", 5, "measurements of each kind, in turn")
	flag.DurationVar(&b.duration, "duration", 4*time.Second, "how long each sends")
	flag.StringVar(&b.size, "size", "594", "bytes of a frame, or imix")
	flag.StringVar(&b.dir, "dir", "/dev/shm", "where captures go while measuring")
	flag.Parse()
	if err := b.run(); err != nil {
		fmt.Fprintln(os.Stderr, "rate:", err)
		os.Exit(1)
	}
}

type benchmark struct {
	periscope, size, dir string
	rounds               int
	duration             time.Duration
}

// A trial is what one kind of receiver made of one sending.
type trial struct {
	sent, received, lost uint64
	seconds              float64       // of sending
	cpu                  time.Duration // of the receiver, its start and stop apart
}

func (t trial) rate() float64      { return float64(t.sent) / t.seconds }
func (t trial) perPacket() float64 { return float64(t.cpu.Nanoseconds()) / float64(max(t.received, 1)) }

// A receiver is one thing to measure.
type receiver struct {
	name string
	// args returns the command for a port and a directory.
	args func(port int, dir string) []string
	// idle is its processor time without traffic.
	idle time.Duration
}

func (b *benchmark) run() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	kinds := []*receiver{
		{name: "periscope run, pcap", args: func(port int, dir string) []string {
			return []string{b.periscope, "run", "--config", config(port, dir, true), "--summary", filepath.Join(dir, "summary.json")}
		}},
		{name: "periscope run, no sink", args: func(port int, dir string) []string {
			return []string{b.periscope, "run", "--config", config(port, dir, false), "--summary", filepath.Join(dir, "summary.json")}
		}},
		{name: "bare recvmmsg, discard", args: func(port int, dir string) []string {
			return []string{self, "discard", strconv.Itoa(port) + "," + filepath.Join(dir, "summary.json")}
		}},
	}
	for _, k := range kinds {
		var times []time.Duration
		for range 3 {
			t, err := b.try(k, 0, 0)
			if err != nil {
				return err
			}
			times = append(times, t.cpu)
		}
		slices.Sort(times)
		k.idle = times[1]
	}
	fmt.Printf("%d cores, %s, frames of %s bytes, %v a trial, medians of %d in turn\n\n", runtime.NumCPU(), kernel(), b.size, b.duration, b.rounds)
	fmt.Printf("%-24s %12s %14s %8s %26s\n", "receiver", "packets/s", "no loss at", "lost", "CPU ns/packet (min-max)")
	full := make(map[string][]trial)
	for range b.rounds {
		for _, k := range kinds {
			t, err := b.try(k, 0, b.duration)
			if err != nil {
				return err
			}
			full[k.name] = append(full[k.name], t)
		}
	}
	for _, k := range kinds {
		rates, costs, lost := []float64{}, []float64{}, uint64(0)
		for _, t := range full[k.name] {
			rates, costs, lost = append(rates, t.rate()), append(costs, t.perPacket()), lost+t.lost
		}
		// Without a loss the sender was the limit, and the rate a lower bound.
		clean := fmt.Sprintf(">= %.0f", median(rates))
		if lost > 0 {
			rate, err := b.search(k, median(rates))
			if err != nil {
				return err
			}
			clean = fmt.Sprintf("%.0f", rate)
		}
		middle := median(costs)
		fmt.Printf("%-24s %12.0f %14s %8d %26s\n", k.name, median(rates), clean, lost, fmt.Sprintf("%.0f (%.0f-%.0f)", middle, costs[0], costs[len(costs)-1]))
	}
	return nil
}

// search returns the highest rate below limit without a loss, to 5 %.
func (b *benchmark) search(k *receiver, limit float64) (float64, error) {
	low, high := 0.0, limit
	for high-low > 0.05*limit {
		rate := (low + high) / 2
		t, err := b.try(k, rate, b.duration)
		if err != nil {
			return 0, err
		}
		if t.lost == 0 {
			low = rate
		} else {
			high = rate
		}
	}
	return low, nil
}

// try starts a receiver, sends to it, stops it and reads its account.
func (b *benchmark) try(k *receiver, rate float64, duration time.Duration) (trial, error) {
	dir, err := os.MkdirTemp(b.dir, "periscope-rate-")
	if err != nil {
		return trial{}, err
	}
	defer os.RemoveAll(dir)
	port, err := freePort()
	if err != nil {
		return trial{}, err
	}
	args := k.args(port, dir)
	cmd := exec.Command(args[0], args[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return trial{}, err
	}
	defer cmd.Process.Kill()
	if err := ready(port + 1); err != nil {
		return trial{}, fmt.Errorf("%s: %w: %s", k.name, err, stderr.String())
	}
	var t trial
	if duration > 0 {
		if t, err = b.send(port, rate, duration); err != nil {
			return trial{}, err
		}
	}
	cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		return trial{}, fmt.Errorf("%s: %w: %s", k.name, err, stderr.String())
	}
	t.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime() - k.idle
	return t, t.read(filepath.Join(dir, "summary.json"))
}

// read takes the receiver's account.
func (t *trial) read(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s struct {
		Received struct{ Packets uint64 }
		Lost     struct{ Socket uint64 } `json:"lost_before_us"`
		Sinks    map[string]struct {
			Dropped map[string]uint64
		}
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	t.received, t.lost = s.Received.Packets, s.Lost.Socket
	for _, sink := range s.Sinks {
		for _, n := range sink.Dropped {
			t.lost += n
		}
	}
	if t.received+s.Lost.Socket != t.sent {
		return fmt.Errorf("%d sent, %d received and %d lost: %d are not accounted for", t.sent, t.received, s.Lost.Socket, int64(t.sent-t.received-s.Lost.Socket))
	}
	return nil
}

func (b *benchmark) send(port int, rate float64, duration time.Duration) (trial, error) {
	guess := rate
	if rate == 0 {
		guess = 250_000
	}
	count := uint64(guess * duration.Seconds())
	began := time.Now()
	out, err := exec.Command(b.periscope, "send", "--to", fmt.Sprintf("127.0.0.1:%d", port), "--flows", "1000", "--size", b.size,
		"--rate", strconv.FormatFloat(rate, 'f', 0, 64), "--count", strconv.FormatUint(count, 10)).CombinedOutput()
	if err != nil {
		return trial{}, fmt.Errorf("send: %w: %s", err, out)
	}
	return trial{sent: count, seconds: time.Since(began).Seconds()}, nil
}

// config writes a configuration file and returns its name. The port after the
// one listened on serves admin.
func config(port int, dir string, keep bool) string {
	name := filepath.Join(dir, "periscope.yaml")
	text := fmt.Sprintf("capture: {listen: [\"127.0.0.1:%d\"], geneve: [], workers: 1}\nadmin: {listen: \"127.0.0.1:%d\"}\n", port, port+1)
	if keep {
		text += fmt.Sprintf("sinks: {pcap: {dir: %q, rotate: {size: 64MiB}, retain: {size: 256MiB}}}\n", filepath.Join(dir, "captures"))
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		panic(err)
	}
	return name
}

// ready waits until the receiver serves /readyz.
func ready(port int) error {
	for range 500 {
		r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", port))
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("not ready after 5 s")
}

// freePort returns a port of which the next one is free as well.
func freePort() (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port - 1
		l.Close()
		if port > 1024 {
			return port, nil
		}
	}
	return 0, errors.New("no free port")
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown kernel"
	}
	return "Linux " + strings.TrimSpace(string(text))
}
