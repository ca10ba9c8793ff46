package mirror_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/mirror"
)

// A world is AWS in memory, as far as mirroring goes, with a clock of its own. It
// keeps the rules of AWS, and takes down who does what may not be.
type world struct {
	rng *rand.Rand
	now time.Time

	interfaces map[string]*nic
	sessions   map[string]*thing // also those that are gone, for who asks late
	targets    map[string]mirror.Target
	limits     map[string]int // sources of a target
	tokens     map[string]mirror.Session
	next       int

	faulty    bool
	throttled time.Time // until when every second call fails
	denied    time.Time // until when nothing may be changed

	// during is what happens while a call is under way.
	during func(w *world)

	// changed is told of interfaces whose sessions changed.
	changed func(interfaceID string)

	violations []string
	happened   map[string]int
}

// worries are what happens in histories; a hundred times in ten thousand at least.
var worries = []string{"made", "made by its token again", "modified", "deleted", "gone", "throttled", "answer lost", "denied",
	"refused", "number in use", "target full", "target gone", "listed late", "another round meanwhile", "memory lost", "change not written"}

// A nic is an interface, of a task.
type nic struct {
	mirror.Source
	wanted   bool      // the task is to run
	alive    bool      // the interface is there
	known    time.Time // when lists have it
	refused  bool      // for good
	until    time.Time // it is refused
	sessions []*thing
	died     bool // a session of it was deleted
}

// A thing is a session, with what lists had of it.
type thing struct {
	mirror.Session
	asked    mirror.Session // as it was made
	made     time.Time
	alive    bool
	versions []version
}

type version struct {
	at    time.Time
	alive bool
	mirror.Session
}

func newWorld(rng *rand.Rand) *world {
	w := &world{
		rng: rng, now: start, interfaces: make(map[string]*nic), sessions: make(map[string]*thing),
		targets: targets(), limits: map[string]int{targetA: 3, targetB: 2}, tokens: make(map[string]mirror.Session),
		happened: make(map[string]int),
	}
	w.throttled, w.denied = w.now, w.now
	return w
}

func (w *world) violation(format string, args ...any) {
	w.violations = append(w.violations, fmt.Sprintf(format, args...))
}

// chance reports true n times of a hundred.
func (w *world) chance(n int) bool { return w.rng.IntN(100) < n }

// start starts a task and returns its interface.
func (w *world) start() *nic {
	w.next++
	n := &nic{Source: source(w.next), wanted: true, alive: true, known: w.now}
	n.Task.Service = []string{"web", "web", "db", "skip", "stray"}[w.rng.IntN(5)]
	if w.chance(5) {
		n.Type = "branch"
	}
	if w.chance(50) {
		n.AZID = "euc1-az2"
	}
	switch {
	case w.chance(8):
		n.refused = true
	case w.faulty && w.chance(10):
		n.until = w.now.Add(time.Duration(w.rng.IntN(300)) * time.Second)
	}
	if w.faulty {
		n.known = w.now.Add(time.Duration(w.rng.IntN(10)) * time.Second)
	}
	w.interfaces[n.InterfaceID] = n
	return n
}

// end ends an interface, and its sessions with it.
func (w *world) end(n *nic) {
	n.wanted, n.alive = false, false
	for _, s := range n.sessions {
		w.set(s, false)
	}
}

// make makes a session without asking.
func (w *world) make(s mirror.Session) *thing {
	w.next++
	s.ID = tms(w.next)
	t := &thing{Session: s, asked: s, made: w.now}
	w.sessions[s.ID] = t
	if n := w.interfaces[s.InterfaceID]; n != nil {
		n.sessions = append(n.sessions, t)
	}
	w.set(t, true)
	return t
}

func (w *world) set(t *thing, alive bool) {
	if t.alive && !alive && w.interfaces[t.InterfaceID] != nil {
		w.interfaces[t.InterfaceID].died = true
	}
	if t.alive = alive; w.changed != nil {
		w.changed(t.InterfaceID)
	}
	t.versions = append(t.versions, version{w.now, alive, t.Session})
}

// living returns the sessions there are, by id.
func (w *world) living() []*thing {
	var list []*thing
	for _, id := range keys(w.sessions) {
		if w.sessions[id].alive {
			list = append(list, w.sessions[id])
		}
	}
	return list
}

func keys[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// mine reports whether a session may be touched.
func mine(s *mirror.Session) bool {
	return s.Tags["periscope:owner"] == "periscope" && s.OwnerID == account
}
