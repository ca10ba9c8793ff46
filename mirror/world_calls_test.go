package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/mirror"
)

var errThrottled = errors.New("RequestLimitExceeded")

// fault returns the error of a call that fails now and then.
func (w *world) fault() error {
	if w.faulty && (w.chance(5) || w.now.Before(w.throttled) && w.chance(50)) {
		w.happened["throttled"]++
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
	for id, t := range targets() {
		if _, ok := w.targets[id]; ok || w.faulty && w.chance(20) { // listed late
			s.Targets[id] = t
		}
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
			if v.alive != t.alive {
				w.happened["listed late"]++
			}
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
		w.happened["denied"]++
		return &mirror.Refusal{Code: "UnauthorizedOperation", Message: fmt.Sprintf("encoded message %d", w.rng.IntN(3))}
	}
	err := do()
	if errors.Is(err, mirror.ErrGone) {
		w.happened["gone"]++
	}
	if w.faulty && w.chance(8) {
		w.happened["answer lost"]++
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
		w.happened["made by its token again"]++
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
	w.happened["made"]++
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
		w.happened["refused"]++
		return refusal("OperationNotSupported")
	}
	if _, ok := w.targets[s.TargetID]; !ok {
		w.happened["target gone"]++
		return refusal("InvalidTrafficMirrorTargetId.NotFound")
	}
	others := 0
	for _, t := range n.sessions {
		if t.alive && t.ID != s.ID {
			if others++; t.Number == s.Number {
				w.happened["number in use"]++
				return refusal("TrafficMirrorSessionNumberInUse")
			}
		}
	}
	if others >= 3 {
		return refusal("TrafficMirrorSessionsPerInterfaceLimitExceeded")
	}
	if used, limit := w.used(s.TargetID, s.InterfaceID), w.limits[s.TargetID]; limit > 0 && used >= limit {
		w.happened["target full"]++
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
	w.happened["modified"]++
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
	w.happened["deleted"]++
	w.set(t, false)
	return nil
}
