package tap

import (
	"time"

	"golang.org/x/net/bpf"

	"github.com/periscope-collector/periscope/internal/cbpf"
)

// Why the tap pauses.
const (
	busy      = "it is over its share of the processor"
	throttled = "its control group is throttled"
	queued    = "the interface's queue drops, or is long"
)

const (
	// harmWait is a pause after a sign that the task is short of something.
	harmWait = time.Second

	// calm is how long there must be no pause until the tap says that it goes on:
	// pauses that follow each other are one state.
	calm = 10 * time.Second
)

// A pauser says when the tap keeps its hands off the task's traffic.
type pauser struct {
	share  allowance
	used   func() time.Duration // of the processor
	health *health

	on    bool
	until time.Time
	moved uint64 // by the interface, when the pause was last counted
	state string // why there are pauses; "" while there are none
}

// rest ends a pause whose time is over, and begins one when there is reason to.
// During a pause the ring's filter refuses everything, so that the task's frames
// cost no more than that.
func (t *Tap) rest(now time.Time, take []bpf.Instruction) error {
	p := &t.pause
	why, wait := "", p.share.look(p.used(), now)
	if wait > 0 {
		why = busy
	}
	if harm := p.health.look(); harm != "" {
		why, wait = harm, harmWait
	}
	moved := p.health.device.moved
	if p.on {
		t.now.dropped[dropPaused] += moved - p.moved
	}
	p.moved = moved
	switch {
	case why != "" && !p.on:
		p.on = true
		t.now.pauses++
		if err := t.ring.SetFilter(cbpf.RefuseAll); err != nil {
			return err
		}
		p.until = now.Add(wait)
	case why != "":
		p.until = now.Add(wait)
	case p.on && !now.Before(p.until):
		p.on = false
		if err := t.ring.SetFilter(take); err != nil {
			return err
		}
	}
	t.tell(why, now)
	return nil
}

// tell logs what changes.
func (t *Tap) tell(why string, now time.Time) {
	p := &t.pause
	switch {
	case why != "" && p.state == "":
		t.cfg.Log.Warn("mirroring pauses, to leave the task what it needs", "interface", t.cfg.Interface, "why", why)
	case why == "" && p.state != "" && !p.on && now.Sub(p.until) >= calm:
		t.cfg.Log.Info("mirroring goes on without pauses", "interface", t.cfg.Interface, "counts", t.now.stats())
		p.state = ""
	}
	if why != "" {
		p.state = why
	}
}
