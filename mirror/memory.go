package mirror

import (
	"slices"
	"time"
)

// An echo is what became of a session, as far as this process did it.
type echo struct {
	session Session
	gone    bool
	at      time.Time
}

// echoes are those of the last eleven minutes, by session.
type echoes map[string]echo

const (
	// settled is how long what was done is believed rather than what is listed:
	// lists of AWS may lack it for some time.
	settled = time.Minute

	// recalled is how long it is known which sessions are gone: their tokens give
	// them back, but make no session.
	recalled = generation + settled
)

// correct has a state show what was done. Where a list has a session of the same
// number, one that was made and is not listed is no more.
func (e echoes) correct(state *State, now time.Time) {
	listed := make(map[string]bool, len(state.Sessions))
	type place struct {
		interfaceID string
		number      int
	}
	places := make(map[place]bool, len(state.Sessions))
	sessions := make([]Session, 0, len(state.Sessions)+len(e))
	for _, s := range state.Sessions {
		listed[s.ID] = true
		if echo, ok := e[s.ID]; ok && now.Sub(echo.at) < settled {
			if echo.gone {
				continue
			}
			s = echo.session
		}
		sessions = append(sessions, s)
		places[place{s.InterfaceID, s.Number}] = true
	}
	state.fresh, state.dead = make(map[string]bool), make(map[string]string)
	for id, echo := range e {
		s := &echo.session
		switch age := now.Sub(echo.at); {
		case age >= recalled:
			delete(e, id)
			continue
		case age >= settled, !listed[id] && places[place{s.InterfaceID, s.Number}]:
			echo.gone = !listed[id]
			e[id] = echo
		case !echo.gone && !listed[id]:
			sessions = append(sessions, *s)
		}
		switch {
		case echo.gone:
			state.dead[s.InterfaceID] = max(id, state.dead[s.InterfaceID])
		case now.Sub(echo.at) < settled:
			state.fresh[s.InterfaceID] = true
		}
	}
	state.Sessions = sessions
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
