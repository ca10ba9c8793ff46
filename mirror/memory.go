package mirror

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
)

// An echo is what is known of a session.
type echo struct {
	session Session
	gone    bool
	heard   bool // by lists or from changes: this process neither made nor deleted it
	said    bool // there is a change that says it was made
	given   bool // AWS gave it back though it is gone
	at      time.Time
}

// echoes are those of the last eleven minutes, by session: of the 10,000 that an
// account may have some 4 MiB.
type echoes map[string]echo

const (
	// settled is how long what was done is believed rather than what is listed:
	// lists of AWS may lack it for some time.
	settled = time.Minute

	// recalled is how long it is known which sessions are gone: their tokens give
	// them back, but make no session.
	recalled = generation + settled
)

// correct has a state show what was done, and takes down which sessions of the owner
// it has. Where a list has a session of the same number, one that was made and is not
// listed is no more.
func (e echoes) correct(state *State, owner string, now time.Time) {
	listed := make(map[string]bool, len(state.Sessions))
	type place struct {
		interfaceID string
		number      int
	}
	places := make(map[place]bool, len(state.Sessions))
	sessions := make([]Session, 0, len(state.Sessions)+len(e))
	for _, s := range state.Sessions {
		listed[s.ID] = true
		was, ok := e[s.ID]
		switch {
		case !ok && s.Tags[TagOwner] == owner:
			e[s.ID] = echo{session: s, heard: true, at: now}
		case !ok || was.heard || now.Sub(was.at) >= settled:
		case was.gone:
			continue
		default:
			s = was.session
		}
		sessions = append(sessions, s)
		places[place{s.InterfaceID, s.Number}] = true
	}
	state.fresh = make(map[string]bool)
	last := make(map[string]echo) // of those that are gone, by interface
	for id, echo := range e {
		s := &echo.session
		switch age := now.Sub(echo.at); {
		case age >= recalled:
			delete(e, id)
			continue
		case age >= settled, echo.heard && listed[id], !listed[id] && places[place{s.InterfaceID, s.Number}]:
			echo.gone = !listed[id]
			e[id] = echo
		case !echo.gone && !echo.heard && !listed[id]:
			sessions = append(sessions, *s)
		}
		switch was := last[s.InterfaceID]; {
		case echo.gone:
			if cmp.Or(was.at.Compare(echo.at), cmp.Compare(was.session.ID, id)) < 0 {
				last[s.InterfaceID] = echo
			}
		case !echo.heard && now.Sub(echo.at) < settled:
			state.fresh[s.InterfaceID] = true
		}
	}
	state.dead = make(map[string]string, len(last))
	for id, echo := range last {
		state.dead[id] = echo.session.ID
	}
	state.Sessions = sessions
}

// errStale says that AWS gave a session that is gone, as the answer to an equal call
// of before: it is made in the next round, by another token.
var errStale = errors.New("AWS answers with a session of before, which is gone")

// given takes down that AWS gave a session to who wanted it made, and returns an
// error if it is one that is gone.
func (r *Reconciler) given(s *Session, now time.Time) error {
	was, ok := r.echoes[s.ID]
	if !ok || !was.gone {
		return nil
	}
	again := was.given
	was.given, was.at = true, now
	r.echoes[s.ID] = was
	if again {
		return fmt.Errorf("AWS answers with session %s, which is gone, whatever the token", s.ID)
	}
	return fmt.Errorf("%w: %s", errStale, s.ID)
}

// Missing returns those of some sessions, by id, that AWS does not list, which it may
// do some seconds after they were made.
func (r *Reconciler) Missing(ctx context.Context, ids []string) ([]string, error) {
	state, err := r.c.Cloud.Look(ctx, []Hint{{}}) // at sessions and targets alone
	if err != nil {
		return nil, fmt.Errorf("look whether the sessions are there: %w", err)
	}
	listed := make(map[string]bool, len(state.Sessions))
	for i := range state.Sessions {
		listed[state.Sessions[i].ID] = true
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return listed[id] }), nil
}

// Doubt has sessions that this process was given count as gone, until they are
// listed: the next round makes others.
func (r *Reconciler) Doubt(ids []string) {
	r.round.Lock()
	defer r.round.Unlock()
	for _, id := range ids {
		if was, ok := r.echoes[id]; ok {
			was.gone, was.heard, was.at = true, true, r.c.Now()
			r.echoes[id] = was
		}
	}
}

// hear takes over a change of before: a session that it says was made is gone when it
// is a minute old and not listed.
func (r *Reconciler) hear(c *changes.Change) {
	s := Session{ID: c.SessionID, InterfaceID: c.InterfaceID, TargetID: c.TargetID, FilterID: c.FilterID,
		Number: c.Number, VNI: c.VNI, PacketLength: c.PacketLength}
	switch c.Kind {
	case changes.Created:
		r.echoes[s.ID] = echo{session: s, heard: true, said: true, at: c.At}
	case changes.Deleted:
		r.echoes[s.ID] = echo{session: s, gone: true, said: true, at: c.At}
	}
}

// remembered is how long after its end a wait is remembered: what fails again until
// then is a repetition.
const remembered = time.Hour

// forget drops what is of no use any more.
func (r *Reconciler) forget(state *State, plan *Plan) {
	for key, p := range r.pauses {
		if state.At.Sub(p.Until) > remembered {
			delete(r.pauses, key)
		}
	}
	content := make(map[string]bool, len(state.Sources)) // interfaces that are as they are wanted
	for i := range state.Sources {
		content[state.Sources[i].InterfaceID] = true
	}
	for _, id := range state.Gone {
		content[id] = true
	}
	for i := range plan.Held {
		delete(content, plan.Held[i].Session.InterfaceID)
	}
	for i := range plan.Actions {
		delete(content, plan.Actions[i].Session.InterfaceID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, list := range r.refused {
		list = slices.DeleteFunc(list, func(x Refused) bool {
			return content[id] && state.At.Sub(x.At) > settled || state.At.Sub(x.Until) > remembered
		})
		if r.refused[id] = list; len(list) == 0 {
			delete(r.refused, id)
		}
	}
}
