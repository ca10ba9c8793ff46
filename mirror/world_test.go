package mirror_test

import (
	"context"
	"errors"
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
}

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
	n.Task.Service = []string{"web", "web", "db", "skip"}[w.rng.IntN(4)]
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

var errThrottled = errors.New("RequestLimitExceeded")

// fault returns the error of a call that fails now and then.
func (w *world) fault() error {
	if w.faulty && (w.chance(5) || w.now.Before(w.throttled) && w.chance(50)) {
		return errThrottled
	}
	return nil
}

// look returns what is, as lists have it.
func (w *world) look(hints []mirror.Hint) (*mirror.State, error) {
	if err := w.fault(); err != nil {
		return nil, err
	}
	s := &mirror.State{At: w.now, Account: account, Whole: hints == nil, Targets: make(map[string]mirror.Target, len(w.targets))}
	for id, t := range w.targets {
		s.Targets[id] = t
	}
	for _, id := range keys(w.interfaces) {
		n := w.interfaces[id]
		hinted := slices.ContainsFunc(hints, func(h mirror.Hint) bool { return h.TaskARN == n.Task.ARN })
		switch {
		case hints != nil && !hinted:
		case n.wanted && n.alive && (hinted || !w.now.Before(n.known)):
			s.Sources = append(s.Sources, n.Source)
		case hinted:
			s.Gone = append(s.Gone, id)
		}
	}
	for _, id := range keys(w.sessions) {
		if shown, ok := w.shown(w.sessions[id]); ok {
			s.Sessions = append(s.Sessions, shown)
		}
	}
	return s, nil
}

// shown returns a session as a list has it, which may be 45 s late.
func (w *world) shown(t *thing) (mirror.Session, bool) {
	at := w.now
	if w.faulty && w.chance(50) {
		at = at.Add(-time.Duration(w.rng.IntN(45)) * time.Second)
	}
	for _, v := range slices.Backward(t.versions) {
		if !v.at.After(at) {
			return v.Session, v.alive
		}
	}
	return mirror.Session{}, false
}

func refusal(code string) error {
	return &mirror.Refusal{Code: code, Message: "as AWS says it"}
}

// call surrounds what a call does with what may go wrong: it may fail, things may
// happen meanwhile, and its answer may be lost.
func (w *world) call(do func() error) error {
	if w.faulty && w.during != nil && w.chance(10) {
		w.during(w)
	}
	if err := w.fault(); err != nil {
		return err
	}
	if w.now.Before(w.denied) {
		return &mirror.Refusal{Code: "UnauthorizedOperation", Message: fmt.Sprintf("encoded message %d", w.rng.IntN(3))}
	}
	err := do()
	if w.faulty && w.chance(8) {
		return fmt.Errorf("the answer is lost: %w", context.DeadlineExceeded)
	}
	return err
}

// create does what CreateTrafficMirrorSession does.
func (w *world) create(s mirror.Session, token string) (mirror.Session, error) {
	if s.VNI < 1 || s.VNI > 1<<24-1 || !mine(&s) || len(token) > 64 || token == "" || s.ID != "" {
		w.violation("create %+v, token %q", s, token)
	}
	if was, ok := w.tokens[token]; ok {
		same := was
		same.ID = ""
		if !equal(&same, &s) {
			w.violation("the token of %+v, to create %+v", was, s)
			return s, refusal("IdempotentParameterMismatch")
		}
		w.changed(s.InterfaceID) // as who asked may believe
		return was, nil
	}
	n := w.interfaces[s.InterfaceID]
	if n == nil || !n.alive {
		return s, mirror.ErrGone
	}
	for _, t := range n.sessions {
		if same := t.asked; t.alive && !n.died && t.made.Unix()/600 == w.now.Unix()/600 {
			if same.ID = ""; equal(&same, &s) {
				w.violation("%s made again, which is %s, by another token", s.InterfaceID, t.ID)
			}
		}
	}
	if err := w.allowed(n, &s); err != nil {
		return s, err
	}
	t := w.make(s)
	w.tokens[token] = t.Session
	return t.Session, nil
}

// equal compares what is asked to make sessions.
func equal(a, b *mirror.Session) bool {
	return fmt.Sprint(*a) == fmt.Sprint(*b) // maps are printed in order
}

// allowed keeps the rules of AWS about a session that is to be.
func (w *world) allowed(n *nic, s *mirror.Session) error {
	if n.Type != "interface" || n.refused || w.now.Before(n.until) {
		return refusal("OperationNotSupported")
	}
	if _, ok := w.targets[s.TargetID]; !ok {
		return refusal("InvalidTrafficMirrorTargetId.NotFound")
	}
	others := 0
	for _, t := range n.sessions {
		if t.alive && t.ID != s.ID {
			if others++; t.Number == s.Number {
				return refusal("TrafficMirrorSessionNumberInUse")
			}
		}
	}
	if others >= 3 {
		return refusal("TrafficMirrorSessionsPerInterfaceLimitExceeded")
	}
	if used, limit := w.used(s.TargetID, s.InterfaceID), w.limits[s.TargetID]; limit > 0 && used >= limit {
		return refusal("TrafficMirrorSourcesPerTargetLimitExceeded")
	}
	return nil
}

// used returns how many interfaces but one are mirrored to a target.
func (w *world) used(target, but string) int {
	users := make(map[string]bool)
	for _, t := range w.sessions {
		if t.alive && t.TargetID == target && t.InterfaceID != but {
			users[t.InterfaceID] = true
		}
	}
	return len(users)
}

// modify does what ModifyTrafficMirrorSession does.
func (w *world) modify(s mirror.Session) error {
	t := w.sessions[s.ID]
	switch {
	case t == nil || !t.alive:
		return mirror.ErrGone
	case !mine(&t.Session):
		w.violation("modify %+v, which is another's", t.Session)
		return nil
	}
	if err := w.allowed(w.interfaces[t.InterfaceID], &s); err != nil {
		return err
	}
	t.TargetID, t.FilterID, t.Number, t.VNI, t.PacketLength = s.TargetID, s.FilterID, s.Number, s.VNI, s.PacketLength
	w.set(t, true)
	return nil
}

// remove does what DeleteTrafficMirrorSession does.
func (w *world) remove(id string) error {
	t := w.sessions[id]
	switch {
	case t == nil || !t.alive:
		return mirror.ErrGone
	case !mine(&t.Session):
		w.violation("delete %+v, which is another's", t.Session)
	}
	w.set(t, false)
	return nil
}
