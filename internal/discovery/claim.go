package discovery

import (
	"hash/maphash"
	"reflect"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/announce"
)

const (
	// maxClaims is how many announced tenures are kept, with 2 KiB each and as much
	// in the table, and how many senders are heard in a second.
	maxClaims = 10_000

	// maxClaimsOfOne is how many of these are of one address, so that one sender
	// does not take the room of all: more tasks than an instance runs.
	maxClaimsOfOne = 128

	// believed is how far back a sender may say that it began.
	believed = time.Minute

	// clocks is how far its clock may be from ours.
	clocks = time.Second

	// settles is how often what a sender says of itself may change.
	settles = time.Minute
)

// A claim is what a sender says of itself, for the time that it does.
type claim struct {
	session.Entry
	called  string    // what it calls itself; Name may be another one
	heard   time.Time // when it was last
	last    int64     // the time of its last announcement
	changed time.Time // when the entry did last
	ended   time.Time // when the end was found out
	written session.Entry
}

// claims are the announced tenures. d.mu guards them.
type claims struct {
	all    []*claim                    // in the order of their beginnings
	latest map[session.Identity]*claim // of each identity; at most that one lasts
	of     map[packet.Addr]int         // how many of all, by source
	seed   maphash.Seed
}

func newClaims() claims {
	return claims{latest: make(map[session.Identity]*claim), of: make(map[packet.Addr]int), seed: maphash.MakeSeed()}
}

// take takes over what a sender says. at is the time of the frame. Nothing shows who
// sent it: whoever has the VNI and source of a claim ends and renames it.
func (c *claims) take(said session.Entry, at int64, now time.Time) (outcome int, changed bool) {
	known := c.latest[said.Identity()]
	lasts := known != nil && known.Until == 0
	same := lasts && known.MAC == said.MAC && known.Workload.TaskARN == said.Workload.TaskARN
	switch {
	case same && said.Until != 0:
		known.end(at, now)
		return Heard, true
	case said.Until != 0: // it is over already
		return Heard, false
	case same:
		return Heard, known.update(said, at, now)
	case len(c.all) >= maxClaims, c.of[said.Source] >= maxClaimsOfOne:
		return Surplus, false
	}
	said.From = since(said.From, at)
	if known != nil {
		said.From = max(said.From, known.Until, known.last+1)
	}
	if lasts { // it is another one's now
		known.end(said.From, now)
	}
	c.add(&claim{Entry: said, called: said.Name, heard: now, last: at, changed: now})
	return Heard, true
}

// since returns when a sender began that says it began at from: as far back as it
// is believed, and no later than it was heard.
func since(from, at int64) int64 {
	if from == 0 {
		return at
	}
	return min(max(from-int64(clocks), at-int64(believed)), at)
}

// update takes over what an announced tenure is called and has now.
func (c *claim) update(said session.Entry, at int64, now time.Time) (changed bool) {
	c.heard, c.last = now, max(c.last, at)
	name := said.Name
	if name == c.called {
		said.Name = c.Name
	}
	said.From, said.Until = c.From, 0
	if reflect.DeepEqual(said, c.Entry) || now.Sub(c.changed) < settles {
		return false
	}
	c.Entry, c.called, c.changed = said, name, now
	return true
}

func (c *claims) add(n *claim) {
	c.all = append(c.all, n)
	c.of[n.Source]++
	c.latest[n.Identity()] = n
}

// end ends a tenure that lasts.
func (c *claim) end(until int64, now time.Time) {
	c.Until, c.ended = max(until, c.From+1), now
}

// endSilent ends the tenures of whom nothing was heard for long, not counting the
// time until deaf, and forgets those of which no frames come any more. It reports
// whether something changed.
func (c *claims) endSilent(deaf, now time.Time) (changed bool) {
	for _, n := range c.all {
		if n.Until == 0 && now.Sub(n.heard) >= announce.Silence && now.Sub(deaf) >= announce.Silence {
			n.end(now.UnixNano(), now)
			changed = true
		}
	}
	c.all = slices.DeleteFunc(c.all, func(n *claim) bool {
		over := n.Until != 0 && now.Sub(n.ended) >= endedStay
		if over {
			c.forget(n)
			changed = true
		}
		return over
	})
	return changed
}

func (c *claims) forget(n *claim) {
	if c.latest[n.Identity()] == n {
		delete(c.latest, n.Identity())
	}
	if c.of[n.Source]--; c.of[n.Source] == 0 {
		delete(c.of, n.Source)
	}
}

// entries returns the tenures that tenures of AWS leave, and those that are to be
// written: new, or other than they were. Of names AWS goes first, and then who has
// one.
func (c *claims) entries(aws []tenure) (all, changed []session.Entry) {
	if len(c.all) == 0 {
		return nil, nil
	}
	taken := make(map[string]bool, len(aws)+len(c.all))
	explained := make(map[session.Identity][][6]byte)
	for i := range aws {
		if t := &aws[i]; t.Until == 0 {
			taken[t.Name] = true
			explained[t.Entry.Identity()] = append(explained[t.Entry.Identity()], t.MAC)
		}
	}
	for _, n := range c.all {
		if n.Until == 0 {
			if taken[n.Name] {
				n.Name = c.nameBeside(n, taken)
			}
			taken[n.Name] = true
		}
		if !reflect.DeepEqual(n.Entry, n.written) {
			n.written = n.Entry
			changed = append(changed, n.Entry)
		}
		macs := explained[n.Entry.Identity()]
		if !slices.Contains(macs, n.MAC) && !slices.Contains(macs, [6]byte{}) {
			all = append(all, n.Entry)
		}
	}
	return all, changed
}
