package nic

import (
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// counters are those that say that received packets were lost at the interface,
// or in front of it. In names of the driver N stands for the number of a queue,
// over which they are summed up.
//
// rx_dropped is not among them: beside what was lost it counts what nobody
// wanted, such as packets of unknown protocols. Nor are bw_out_ and
// linklocal_allowance_exceeded, which are about what is sent.
var counters = []struct {
	name string
	kind kind
	what string // and whose it is
}{
	{"bw_in_allowance_exceeded", allowance, "ENA: more bytes a second came than the instance may take"},
	{"pps_allowance_exceeded", allowance, "ENA: more packets a second, both ways, than the instance may take"},
	{"conntrack_allowance_exceeded", allowance, "ENA: the security groups could not track one more flow"},
	{"rx_drops", room, "ENA: no descriptor was free, the driver came late"},
	{"rx_overruns", room, "ENA: the device ran over before it could hand over"},
	{"rx_missed_errors", room, "every driver: no buffer was free, the kernel came late"},
	{"rx_fifo_errors", room, "some drivers: the same, or a buffer of the device ran over"},
	{"rx_over_errors", room, "some drivers: the same"},
	{"rx_out_of_buffer", room, "mlx5: no descriptor was free"},
	{"rxN_drops", driver, "virtio_net: the driver could not take it"},
	{"rx_queue_N_drops", driver, "veth, older virtio_net: the same"},
}

// Names returns the names of all counters that an interface may have, in an
// order that stays.
func Names() []string {
	var names []string
	for _, c := range counters {
		names = append(names, c.name)
	}
	return names
}

type kind int

const (
	// allowance counters are of the host's limits for the instance, each of
	// other packets. They count what was queued or dropped.
	allowance kind = iota

	// room counters are of the interface. Drivers say the same under several
	// names, so only the largest of them counts.
	room

	// driver counters are room counters that also count what an XDP program
	// redirected to a socket that could not take it.
	driver
)

// inStatistics are the counters that every interface has in /sys/class/net.
var inStatistics = []string{"rx_missed_errors", "rx_fifo_errors", "rx_over_errors"}

// A Loss is what an interface lost since it was first looked at, in packets.
type Loss struct {
	// Packets is the sum of the allowance counters and the largest of the
	// others.
	Packets uint64

	// Counters are those that the interface has, by their names.
	Counters map[string]uint64
}

// Counters follows the loss counters of an interface. Any goroutine may use it.
type Counters struct {
	name string
	xdp  bool
	read func(name string) map[string]uint64 // all that are known now

	mu   sync.Mutex
	at   time.Time // of the last reading
	last map[string]uint64
	loss Loss
}

// maxAge is how old a reading may be that is used again: a driver may ask its
// device for the figures.
const maxAge = time.Second

// Watch begins to follow an interface. One that does not exist loses nothing.
// With xdp, a program on it redirects packets to sockets, which count what they
// lose themselves: what the driver counts of it too is not in the sum.
func Watch(name string, xdp bool) *Counters {
	c := &Counters{name: name, xdp: xdp, read: readAll}
	c.Loss(time.Now())
	return c
}

// Loss returns what was lost by now, or up to a second before. It never gets
// less: a counter that goes back was set to 0 by a reset, and counts on.
func (c *Counters) Loss(now time.Time) Loss {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && now.Sub(c.at) < maxAge {
		return c.loss
	}
	c.at = now
	reading := c.read(c.name)
	sums := maps.Clone(c.loss.Counters) // the one returned before is not ours
	if sums == nil {
		sums = make(map[string]uint64)
	}
	for name, n := range reading {
		last, known := c.last[name]
		switch {
		case !known:
			sums[name] += 0 // what it lost before is not ours
		case n >= last:
			sums[name] += n - last
		default:
			sums[name] += n
		}
	}
	if len(reading) > 0 {
		c.last = reading
	}
	c.loss = Loss{total(sums, c.xdp), sums}
	return c.loss
}

func total(sums map[string]uint64, xdp bool) uint64 {
	var allowances, rooms uint64
	for _, counter := range counters {
		n := sums[counter.name]
		switch {
		case counter.kind == allowance:
			allowances += n
		case counter.kind == room, !xdp:
			rooms = max(rooms, n)
		}
	}
	return allowances + rooms
}

// readAll returns the counters of an interface that are in the table. Names
// that both the kernel and the driver have are the same counter.
func readAll(name string) map[string]uint64 {
	found := make(map[string]uint64)
	for _, s := range ethtoolStats(name) {
		if known, ok := match(s.name); ok {
			found[known] += s.value
		}
	}
	for _, counter := range inStatistics {
		text, err := os.ReadFile(filepath.Join(devices, name, "statistics", counter))
		if err != nil {
			continue
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); err == nil {
			found[counter] = max(found[counter], n)
		}
	}
	return found
}

// match returns the counter of the table that a driver's name means.
func match(name string) (string, bool) {
	first := strings.IndexAny(name, digits)
	if first >= 0 {
		name = name[:first] + "N" + strings.TrimLeft(name[first:], digits)
	}
	for _, counter := range counters {
		if counter.name == name {
			return name, true
		}
	}
	return "", false
}

const digits = "0123456789"
