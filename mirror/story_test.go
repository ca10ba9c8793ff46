package mirror_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/changes"
)

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
			w.happened["another round meanwhile"]++
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
		} else if s.targets = targets(); s.chance(40) {
			delete(s.targets, targetB)
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
	for _, step := range []time.Duration{time.Second, time.Minute, time.Minute, time.Minute, 7 * time.Minute, 5 * time.Minute, 15 * time.Minute, 31 * time.Minute, time.Minute, time.Minute, time.Hour, time.Minute, time.Minute} {
		s.now = s.now.Add(step)
		actions := s.processes[0].reconcile(nil) + s.processes[1].reconcile(nil)
		if idle++; actions > 0 || s.differs() != "" {
			idle = 0
		}
		if s.now.Sub(began) == believed {
			s.unmade()
		}
		if idle == 2 {
			return s.now.Sub(began), true
		}
	}
	return s.now.Sub(began), false
}

// believed is how long after the last fault an interface may be without a session that
// nobody refuses: what was given by a token is believed to be there for a minute.
const believed = 3*time.Minute + time.Second

// unmade takes down interfaces that both processes take for mirrored, and are not.
func (s *story) unmade() {
	vnis := make(map[uint32]int)
	for id, n := range s.interfaces {
		refused := len(s.processes[0].r.Refused()[id])+len(s.processes[1].r.Refused()[id]) > 0
		if asked(n) && !refused && s.difference(n, vnis) == "is not mirrored" {
			s.violation("%s is not mirrored %v after the last fault, and nobody refuses it", id, believed)
		}
	}
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
		if n := s.interfaces[t.InterfaceID]; mine(&t.Session) && !asked(n) {
			return fmt.Sprintf("%s is mirrored by %s and is not wanted", t.InterfaceID, t.ID)
		}
	}
	for _, id := range keys(s.interfaces) {
		n := s.interfaces[id]
		if !asked(n) {
			continue
		}
		if reason := s.difference(n, vnis); reason != "" {
			return id + " " + reason
		}
	}
	return ""
}

// asked reports whether the first rules ask for a session of an interface: of one
// service they say that it is not mirrored, of another nothing.
func asked(n *nic) bool {
	return n.wanted && n.alive && n.Task.Service != "skip" && n.Task.Service != "stray"
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

// tell does the history, and returns what was wrong with it.
func (s *story) tell() (took time.Duration, faults []string) {
	s.trouble()
	took, ok := s.quiet()
	if faults = s.violations; !ok {
		faults = append(faults, fmt.Sprintf("not as wanted %v after the last fault: %s", took, s.differs()))
	}
	return took, faults
}
