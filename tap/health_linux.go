package tap

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A health watches for signs that the task is short of what the tap takes. What
// the machine does not tell counts as good.
type health struct {
	device deviceCounts // when last looked at
	queue  *queue
	files  struct{ devices, processor *os.File }
	name   string // of the interface, and a colon
	buf    []byte

	known     bool
	throttles uint64
	drops     uint64 // of the interface and its queue
	long      bool   // the queue was when last looked at
}

// deviceCounts are of /proc/net/dev: packets both ways, and those dropped on the
// way out.
type deviceCounts struct{ moved, dropped uint64 }

// longQueue is how many bytes may wait in the interface's queue. At 100 Mbit/s it
// takes 20 ms to send them.
const longQueue = 256 << 10

// procLen holds /proc/net/dev for some 500 interfaces.
const procLen = 64 << 10

func openHealth(name string, index int, mount string) *health {
	h := &health{name: name + ":", buf: make([]byte, procLen)}
	h.files.devices, _ = os.Open("/proc/thread-self/net/dev") // of this network namespace, for good
	groups, _ := os.ReadFile("/proc/self/cgroup")
	h.files.processor = openProcessorStat(mount, string(groups))
	h.queue, _ = openQueue(index)
	return h
}

func (h *health) close() error {
	var err error
	for _, f := range []*os.File{h.files.devices, h.files.processor} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	if h.queue != nil {
		err = errors.Join(err, h.queue.close())
	}
	return err
}

// look returns what got worse since it was last called, or "".
func (h *health) look() string {
	h.device = readDevice(h.read(h.files.devices), h.name)
	throttles := readThrottled(h.read(h.files.processor))
	drops, waiting := h.device.dropped, uint64(0)
	if h.queue != nil {
		dropped, bytes := h.queue.read()
		drops += dropped
		waiting = bytes
	}
	long := waiting > longQueue
	why := ""
	switch {
	case !h.known:
	case throttles > h.throttles:
		why = throttled
	case drops > h.drops || long && h.long:
		why = queued
	}
	h.known, h.throttles, h.drops, h.long = true, throttles, drops, long
	return why
}

func (h *health) read(f *os.File) []byte {
	if f == nil {
		return nil
	}
	n, _ := f.ReadAt(h.buf, 0) // with io.EOF
	return h.buf[:n]
}

// readDevice reads the line of an interface in /proc/net/dev. What is not there is
// zero.
func readDevice(text []byte, name string) (c deviceCounts) {
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte(name))
		if !ok {
			continue
		}
		fields := bytes.Fields(rest)
		at := func(i int) uint64 {
			if i >= len(fields) {
				return 0
			}
			n, _ := strconv.ParseUint(string(fields[i]), 10, 64)
			return n
		}
		const received, sent, dropped = 1, 9, 11
		return deviceCounts{at(received) + at(sent), at(dropped)}
	}
	return c
}

// openProcessorStat opens cpu.stat of a process's control group, of version 2 or 1
// as /proc/PID/cgroup has it, below a mount; nil if there is none. In a container
// the mount may be its own group.
func openProcessorStat(mount, groups string) *os.File {
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 || fields[1] != "" && !strings.Contains(","+fields[1]+",", ",cpu,") {
			continue
		}
		for _, path := range []string{fields[2], "/"} {
			if f, err := os.Open(filepath.Join(mount, fields[1], path, "cpu.stat")); err == nil {
				return f
			}
		}
	}
	return nil
}

// readThrottled returns nr_throttled of a cpu.stat: in how many periods the group
// got less than it wanted.
func readThrottled(text []byte) uint64 {
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("nr_throttled ")); ok {
			n, _ := strconv.ParseUint(string(value), 10, 64)
			return n
		}
	}
	return 0
}

// processorTime returns what the process has used.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
