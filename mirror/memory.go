package mirror

import (
	"slices"
	"time"
)

// An echo is what became of a session. Lists of AWS may lack it for some time.
type echo struct {
	session Session
	gone    bool
	at      time.Time
}

// echoes are those of the last minute, by session.
type echoes map[string]echo

// settled is how long what was done is believed rather than what is listed.
const settled = time.Minute

// correct has a state show what was done.
func (e echoes) correct(state *State, now time.Time) {
	sessions := make([]Session, 0, len(state.Sessions)+len(e))
	listed := make(map[string]bool, len(e))
	for id, echo := range e {
		if now.Sub(echo.at) >= settled {
			delete(e, id)
		}
	}
	for _, s := range state.Sessions {
		switch echo, ok := e[s.ID]; {
		case !ok:
			sessions = append(sessions, s)
		case !echo.gone:
			sessions = append(sessions, echo.session)
		}
		listed[s.ID] = true
	}
	for id, echo := range e {
		if !echo.gone && !listed[id] {
			sessions = append(sessions, echo.session)
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
		if state.At.Sub(p.until) > remembered {
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
			return content[id] || state.At.Sub(x.Until) > remembered
		})
		if r.refused[id] = list; len(list) == 0 {
			delete(r.refused, id)
		}
	}
}
