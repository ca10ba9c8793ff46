package mirror_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/changes"
)

var (
	history   = flag.Uint64("history", 0, "the one history to do, by its number; 0 for all")
	histories = flag.Int("histories", 10_000, "how many histories to do")
)

// What is wanted, before and after somebody changes it.
var wanted = [2]string{`
targets: [{id: ` + targetA + `, max_sources: 3}, {id: ` + targetB + `, max_sources: 4}, {id: ` + targetN + `}]
vni: {from: 100, to: 139}
sources:
  - {name: never, match: {service: [skip]}, mirror: false}
  - {name: web, match: {service: [web]}, filter: tmf-00000001}
  - {name: db, match: {service: [db]}, filter: tmf-00000002, number: 2, packet_length: 100, targets: [` + targetA + `, ` + targetB + `]}
`, `
targets: [{id: ` + targetA + `, max_sources: 3}, {id: ` + targetB + `, max_sources: 2}, {id: ` + targetN + `}]
vni: {from: 100, to: 139}
sources:
  - {name: db, match: {service: [db]}, mirror: false}
  - {name: web, match: {cluster: [prod]}, filter: tmf-00000003, number: 3, vni: 120, targets: [` + targetN + `, ` + targetB + `]}
`}

// A process is a reconciler with what the test knows of its calls.
type process struct {
	w       *world
	r       *mirror.Reconciler
	changes *[]changes.Change // shared by all processes
	busy    bool
	round   map[string]bool // calls of this round
	calls   map[string]attempts
}

// attempts are those at one call that did not succeed, one after the other.
type attempts struct {
	last  time.Time
	times int
}

// again takes down that a call failed, and that it waited for long enough: shortest,
// doubling up to longest.
func (p *process) again(key string, shortest, longest time.Duration) {
	a := p.calls[key]
	since := p.w.now.Sub(a.last)
	wait := min(shortest<<min(max(a.times-1, 0), 10), longest)
	switch {
	case a.times == 0 || since > wait+time.Hour: // it is forgotten
		a.times = 0
	case since < wait:
		p.w.violation("%s again after %v, and it was to wait for %v", key, since, wait)
	}
	a.times++
	a.last = p.w.now
	p.calls[key] = a
}

// forgive forgets the failures about an interface: something was done to it.
func (p *process) forgive(id string) {
	for key := range p.calls {
		if strings.Contains(key, id) {
			delete(p.calls, key)
		}
	}
}

// did takes down what became of a call.
func (p *process) did(what string, s *mirror.Session, err error) error {
	key := what + s.InterfaceID + s.ID
	if p.round[key] {
		p.w.violation("%s twice in a round", key)
	}
	p.round[key] = true
	var refusal *mirror.Refusal
	switch {
	case err == nil:
		delete(p.calls, key)
	case errors.As(err, &refusal):
		delete(p.calls, key)
		p.again(fmt.Sprint("wish", s.ID, s.InterfaceID, s.TargetID, s.FilterID, s.Number, s.PacketLength), time.Minute, time.Hour)
	case errors.Is(err, mirror.ErrGone) && what != "create":
	default:
		p.again(key, time.Second, time.Minute)
	}
	return err
}

func (p *process) Look(_ context.Context, hints []mirror.Hint) (*mirror.State, error) {
	return p.w.look(hints)
}

func (p *process) Create(_ context.Context, s mirror.Session, token string) (made mirror.Session, err error) {
	err = p.w.call(func() (err error) { made, err = p.w.create(s, token); return err })
	return made, p.did("create", &s, err)
}

func (p *process) Modify(_ context.Context, s mirror.Session) error {
	return p.did("modify", &s, p.w.call(func() error { return p.w.modify(s) }))
}

func (p *process) Delete(_ context.Context, id string) error {
	s := mirror.Session{ID: id}
	if t := p.w.sessions[id]; t != nil {
		s = t.Session
	}
	return p.did("delete", &s, p.w.call(func() error { return p.w.remove(id) }))
}

// begin begins the process anew: its memory is lost, but for what was written, if
// anybody read that.
func (p *process) begin(rules *mirror.Rules) {
	p.calls = make(map[string]attempts)
	p.r = mirror.New(mirror.Config{
		Rules: rules, Cloud: p, Account: account, Region: "eu-central-1", Now: func() time.Time { return p.w.now },
		Changes: func(_ context.Context, c changes.Change) error {
			if p.w.faulty && p.w.chance(10) {
				return errors.New("the disk is full")
			}
			*p.changes = append(*p.changes, c)
			return nil
		},
	})
	if p.w.chance(50) {
		p.r.Restore(*p.changes)
	}
}

// change gives the process other rules, under which it may try everything again.
func (p *process) change(rules *mirror.Rules) {
	clear(p.calls)
	p.r.SetRules(rules)
}

// reconcile does a round, and the ones that follow at once. It returns how many
// actions were done, or failed.
func (p *process) reconcile(hints []mirror.Hint) (actions int) {
	if p.busy {
		return 0
	}
	p.busy = true
	defer func() { p.busy = false }()
	for round := 0; ; round++ {
		clear(p.round)
		report, err := p.r.Reconcile(context.Background(), hints)
		if report != nil {
			for _, result := range report.Results {
				if result.Outcome == mirror.Done || result.Outcome == mirror.Failed {
					actions++
				}
			}
		}
		if len(p.round) > mirror.MaxActions {
			p.w.violation("%d calls in a round", len(p.round))
		}
		if err != nil || !report.More {
			return actions
		}
		if round == 20 {
			p.w.violation("more than 20 rounds at once")
			return actions
		}
		hints = nil
	}
}

// A story is one random history.
type story struct {
	*world
	rules     [2]*mirror.Rules
	processes [2]*process
	log       []changes.Change
	hints     []mirror.Hint // of events that are not delivered yet
}

func newStory(seed uint64, rules [2]*mirror.Rules) *story {
	s := &story{world: newWorld(rand.New(rand.NewPCG(seed, 7))), rules: rules}
	s.faulty = true
	for i := range s.processes {
		s.processes[i] = &process{w: s.world, changes: &s.log, round: make(map[string]bool)}
		s.processes[i].begin(rules[0])
	}
	s.changed = func(id string) {
		for _, p := range s.processes {
			p.forgive(id)
		}
	}
	s.during = func(w *world) { // another process, or the world, comes between
		if w.chance(50) {
			s.processes[w.rng.IntN(2)].reconcile(nil)
		} else {
			s.happen()
		}
	}
	// Of another account with the same owner's tag, towards a target of ours.
	if s.chance(30) {
		s.make(mirror.Session{InterfaceID: "eni-0ffffffff", TargetID: targetB, FilterID: filter1, Number: 1, VNI: 105,
			OwnerID: "999999999999", Tags: map[string]string{"periscope:owner": "periscope"}})
	}
	return s
}

// any returns an interface that is there, or nil.
func (s *story) any() *nic {
	var list []*nic
	for _, id := range keys(s.interfaces) {
		if s.interfaces[id].alive {
			list = append(list, s.interfaces[id])
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[s.rng.IntN(len(list))]
}

// event tells of an interface: perhaps late, repeated or not at all.
func (s *story) event(n *nic) {
	for range []int{0, 1, 1, 1, 2}[s.rng.IntN(5)] {
		s.hints = append(s.hints, mirror.Hint{ClusterARN: n.Task.ClusterARN, TaskARN: n.Task.ARN})
	}
}

// happen has one thing happen.
func (s *story) happen() {
	n := s.any()
	if n == nil || s.chance(30) {
		for range 1 + s.rng.IntN(3) {
			s.event(s.start())
		}
		return
	}
	switch s.rng.IntN(9) {
	case 0, 1:
		s.end(n)
		s.event(n)
	case 2: // its task stops, and it is there for some time
		n.wanted = false
		s.event(n)
	case 3, 4: // somebody deletes a session
		if len(n.sessions) > 0 {
			if t := n.sessions[s.rng.IntN(len(n.sessions))]; t.alive {
				s.set(t, false)
			}
		}
	case 5: // somebody makes one
		other := foreign(0, 0, 1+s.rng.IntN(4), uint32(98+s.rng.IntN(44)))
		other.InterfaceID = n.InterfaceID
		if n.until = s.now; s.allowed(n, &other) == nil {
			s.make(other)
		}
	case 6:
		s.throttled = s.now.Add(time.Duration(s.rng.IntN(60)) * time.Second)
	case 7:
		if s.chance(30) {
			s.denied = s.now.Add(time.Duration(s.rng.IntN(120)) * time.Second)
		} else if delete(s.targets, targetB); s.chance(80) {
			s.targets = targets()
		}
	case 8:
		p := s.processes[s.rng.IntN(2)]
		if which := s.rules[s.rng.IntN(2)]; s.chance(70) && !p.busy {
			p.begin(which)
		} else if !p.busy {
			p.change(which)
		}
	}
}

// trouble is the first part of a history.
func (s *story) trouble() {
	for range 8 + s.rng.IntN(16) {
		s.now = s.now.Add(time.Duration(s.rng.IntN(60_000)) * time.Millisecond)
		if s.chance(1) {
			s.now = s.now.Add(2 * time.Hour)
		}
		s.happen()
		p := s.processes[s.rng.IntN(2)]
		switch s.rng.IntN(4) {
		case 0: // events wait
		case 1:
			p.reconcile(nil)
		default:
			if len(s.hints) > 0 {
				n := 1 + s.rng.IntN(len(s.hints))
				s.rng.Shuffle(len(s.hints), func(i, j int) { s.hints[i], s.hints[j] = s.hints[j], s.hints[i] })
				p.reconcile(s.hints[:n:n])
				s.hints = s.hints[n:]
			}
		}
	}
}

// quiet is the second part: nothing goes wrong any more. It returns how long it took
// until nobody had anything to do.
func (s *story) quiet() (took time.Duration, ok bool) {
	s.faulty, s.denied, s.targets = false, s.now, targets()
	for _, n := range s.interfaces {
		n.until = s.now
	}
	for _, p := range s.processes {
		p.change(s.rules[0])
	}
	began, idle := s.now, 0
	for _, step := range []time.Duration{time.Second, time.Minute, time.Minute, 8 * time.Minute, 5 * time.Minute, 15 * time.Minute, 31 * time.Minute, time.Minute, time.Minute, time.Hour, time.Minute, time.Minute} {
		s.now = s.now.Add(step)
		actions := s.processes[0].reconcile(nil) + s.processes[1].reconcile(nil)
		if idle++; actions > 0 || s.differs() != "" {
			idle = 0
		}
		if idle == 2 {
			return s.now.Sub(began), true
		}
	}
	return s.now.Sub(began), false
}

// differs says how what is differs from what the first rules want; "" if not at all.
func (s *story) differs() string {
	vnis := make(map[uint32]int)
	for _, t := range s.living() {
		if n := s.interfaces[t.InterfaceID]; !mine(&t.Session) || !s.excused(n) {
			vnis[t.VNI]++
		}
	}
	for _, t := range s.living() {
		if n := s.interfaces[t.InterfaceID]; mine(&t.Session) && (!n.wanted || !n.alive || n.Task.Service == "skip") {
			return fmt.Sprintf("%s is mirrored by %s and is not wanted", t.InterfaceID, t.ID)
		}
	}
	for _, id := range keys(s.interfaces) {
		n := s.interfaces[id]
		if !n.wanted || !n.alive || n.Task.Service == "skip" {
			continue
		}
		if reason := s.difference(n, vnis); reason != "" {
			return id + " " + reason
		}
	}
	return ""
}

// excused reports whether an interface may be as it is: AWS refuses it, or others
// have its number or all its places.
func (s *story) excused(n *nic) bool {
	number, others := 1, 0
	if n.Task.Service == "db" {
		number = 2
	}
	for _, t := range n.sessions {
		if t.alive && !mine(&t.Session) {
			if others++; t.Number == number {
				return true
			}
		}
	}
	return n.refused || n.Type != "interface" || others == 3
}

func (s *story) difference(n *nic, vnis map[uint32]int) string {
	number, filter, length, may := 1, "tmf-00000001", 0, []string{targetA, targetB, targetN}
	if n.Task.Service == "db" {
		number, filter, length, may = 2, "tmf-00000002", 100, may[:2]
	}
	excused := s.excused(n)
	var own []*thing
	for _, t := range n.sessions {
		if t.alive && mine(&t.Session) {
			own = append(own, t)
		}
	}
	room := false
	for _, target := range may {
		room = room || s.limits[target] == 0 || s.used(target, n.InterfaceID) < s.limits[target]
	}
	switch {
	case len(own) > 1:
		return fmt.Sprintf("has %d sessions", len(own))
	case len(own) == 0 && !excused && room:
		return "is not mirrored"
	case len(own) == 0 || excused: // one that is refused may have kept what it had
		return ""
	}
	has := own[0]
	listed := false
	for _, target := range may {
		listed = listed || has.TargetID == target
	}
	if !listed && !room {
		return ""
	}
	if !listed || has.FilterID != filter || has.Number != number || has.PacketLength != length || has.VNI < 100 || has.VNI > 139 || vnis[has.VNI] != 1 {
		return fmt.Sprintf("has %+v", has.Session)
	}
	return ""
}

// TestHistories does random histories: tasks start and stop, events are late,
// repeated or lost, sessions are made and deleted by others, calls are throttled,
// refused for a time or for good, or done though the answer says they are not, lists
// are late, processes lose their memory, two of them work at once with rules that
// change. When nothing goes wrong any more, all come to what is wanted. Meanwhile
//   - no session of others is touched,
//   - no interface has two of ours, and of what is wished for twice in ten minutes
//     one is made,
//   - a round makes each call once, and at most mirror.MaxActions of them;
//   - of n calls in a row that fail the last is made after 1 s + 2 s + ... up to
//     1 min each, n-1 of them, and of n wishes in a row that are refused after
//     1 min + 2 min + ... up to 1 h each.
//
// One that fails is done again with go test -run TestHistories -history NUMBER.
func TestHistories(t *testing.T) {
	var rules [2]*mirror.Rules
	for i := range rules {
		rules[i] = parse(t, wanted[i])
	}
	first, last := uint64(1), uint64(*histories)
	if *history != 0 {
		first, last = *history, *history
	}
	var mu sync.Mutex
	var slowest time.Duration
	next, failed := first, 0
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				mu.Lock()
				seed := next
				next++
				stop := seed > last || failed > 5
				mu.Unlock()
				if stop {
					return
				}
				took, faults := tell(seed, rules)
				mu.Lock()
				if slowest = max(slowest, took); len(faults) > 0 {
					failed++
					t.Errorf("history %d:\n%s", seed, strings.Join(faults[:min(len(faults), 5)], "\n"))
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("histories %d to %d; the slowest was as wanted %v after the last fault", first, last, slowest)
}

// tell does one history, and returns what was wrong with it.
func tell(seed uint64, rules [2]*mirror.Rules) (took time.Duration, faults []string) {
	s := newStory(seed, rules)
	s.trouble()
	took, ok := s.quiet()
	if faults = s.violations; !ok {
		if *history != 0 {
			plan, _ := s.processes[0].r.Plan(context.Background(), nil)
			faults = append(faults, fmt.Sprintf("%+v", plan))
			for _, l := range s.living() {
				faults = append(faults, fmt.Sprintf("%+v", l.Session))
			}
		}
		faults = append(faults, fmt.Sprintf("not as wanted %v after the last fault: %s", took, s.differs()))
	}
	return took, faults
}
