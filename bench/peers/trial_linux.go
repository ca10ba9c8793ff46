package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/periscope-collector/periscope/bench/blast/live"
)

// A harness sends to one receiver after the other.
type harness struct {
	programs
	wire
	scratch string // where receivers write
}

// A trial is what became of one blast.
type trial struct {
	sent, lost uint64
	seconds    float64
	cpu        time.Duration // of the receiver, until it did next to nothing again
	end        time.Duration // of the receiver from then on: records of flows, files completed
	cores      time.Duration // of the whole machine while it sent and settled
	anon       uint64        // most anonymous memory of the receiver, bytes
}

func (t trial) rate() float64 { return float64(t.sent) / t.seconds }

// taken returns the packets a second that were not lost.
func (t trial) taken() float64 { return float64(t.sent-min(t.lost, t.sent)) / t.seconds }

// each returns what a packet costs in nanoseconds.
func (t trial) each(d time.Duration) float64 {
	return float64(d) / float64(max(t.sent-min(t.lost, t.sent), 1))
}

// jumboMTU is that of both ends of the wire: 8,973 bytes of frame in AWS's
// longest packet need less.
const jumboMTU = 9100

// try starts a receiver, sends to it at a rate in packets a second, 0 being as
// fast as possible, and stops it. Every packet that was sent and that the
// receiver does not say it kept is lost, wherever that was.
func (h *harness) try(r *receiver, size int, rate float64, d time.Duration) (t trial, err error) {
	dir, err := os.MkdirTemp(h.scratch, "")
	if err != nil {
		return t, err
	}
	defer os.RemoveAll(dir)
	if err := configure(dir); err != nil {
		return t, err
	}
	if err := h.lay(jumboMTU, r.address); err != nil {
		return t, err
	}
	p, err := start(h.far, r.args(dir), r.ready)
	if err != nil {
		return t, err
	}
	defer p.kill()
	before, idle := busy(), p.cpu()
	if err := h.send(&t, size, rate, d); err != nil {
		return t, err
	}
	p.settle(r.settle)
	done := p.cpu()
	t.cpu, t.cores = done-idle, busy()-before
	total, err := p.stop(r.signal)
	if err != nil {
		return t, err
	}
	t.end = total - done
	t.anon = p.anon
	kept, lost, err := r.count(p.out.String(), dir)
	if err != nil {
		return t, fmt.Errorf("%s: %w", r.name, err)
	}
	if kept > t.sent {
		return t, fmt.Errorf("%s: %d packets of %d: the count is wrong", r.name, kept, t.sent)
	}
	t.lost = t.sent - kept + lost
	return t, nil
}

// send blasts, and returns when the far interface has what was sent.
func (h *harness) send(t *trial, size int, rate float64, d time.Duration) error {
	var out []byte
	err := h.near.do(func() (err error) {
		cmd := exec.Command(h.blast, "-interface", "b0", "-mac", farMAC, "-source", nearAddr, "-target", farAddr,
			"-size", strconv.Itoa(size), "-rate", strconv.FormatFloat(rate, 'f', 0, 64), "-duration", d.String())
		out, err = cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("blast: %w: %s", err, exit.Stderr)
		}
		return err
	})
	if err != nil {
		return err
	}
	var sent struct {
		Sent    uint64
		Seconds float64
	}
	if err := json.Unmarshal(out, &sent); err != nil {
		return fmt.Errorf("blast: %w: %s", err, out)
	}
	t.sent, t.seconds = sent.Sent, sent.Seconds
	for deadline := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) {
		received, dropped, err := h.counters()
		if err != nil {
			return err
		}
		if received+dropped >= t.sent {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d sent, and the interfaces know of %d received and %d dropped", t.sent, received, dropped)
		}
	}
}

// limit returns what the sender itself can do: to an interface that drops
// everything before anything is done with it.
func (h *harness) limit(size int, d time.Duration) (t trial, err error) {
	if err := h.lay(jumboMTU, false); err != nil {
		return t, err
	}
	var detach func() error
	err = h.far.do(func() error {
		b1, err := net.InterfaceByName("b1")
		if err == nil {
			detach, err = live.Drop(b1.Index)
		}
		return err
	})
	if err != nil {
		return t, err
	}
	defer detach()
	before := busy()
	err = h.send(&t, size, 0, d)
	t.cores = busy() - before
	return t, err
}
