package mirror

import (
	"context"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
)

// After a refusal the same is not wished for again until these have passed; the wait
// doubles each time.
const (
	shortestWait = time.Minute
	longestWait  = time.Hour
)

// wait returns how long to wait after a number of refusals.
func wait(times int) time.Duration {
	return min(shortestWait<<min(times-1, 6), longestWait)
}

// remember adds a refusal to those of its interface. It is fresh unless the wish was
// refused in these words before, and known if another wish of the interface was.
func remember(list []Refused, r Refused, own VNIRange) (all []Refused, fresh, known bool) {
	known = slices.ContainsFunc(list, func(x Refused) bool { return x.Refusal == r.Refusal && !x.restored })
	i := slices.IndexFunc(list, func(x Refused) bool { return x.about(&r.Session, own) })
	if i < 0 {
		r.First, r.Times, r.Until = r.At, 1, r.At.Add(wait(1))
		return append(list, r), true, known
	}
	was := list[i]
	r.First, r.Times = was.First, was.Times+1
	r.Until = r.At.Add(wait(r.Times))
	list[i] = r
	return list, was.restored || was.Refusal != r.Refusal, known
}

// deny takes down that AWS refused an action, and says so once.
func (r *Reconciler) deny(ctx context.Context, a *Action, refusal Refusal, now time.Time) {
	delete(r.pauses, a.key())
	id := a.Session.InterfaceID
	r.mu.Lock()
	list, fresh, known := remember(r.refused[id], Refused{Refusal: refusal, Session: a.Session, At: now}, r.c.Rules.VNIs)
	r.refused[id] = list
	r.mu.Unlock()
	if fresh && !known {
		r.c.Log.Warn("AWS refuses a session", append(about(a), "action", a.Verb, "code", refusal.Code, "message", refusal.Message)...)
	}
	if fresh {
		c := a.change(changes.Refused, &a.Session, now)
		c.Code, c.Message = refusal.Code, refusal.Message
		r.say(ctx, c)
	}
}

// Restore takes over changes in order of time, so that a process that begins anew
// waits after a refusal as the one before did, and knows which sessions are gone. The
// refusals of the last day will do, and what was done in the last eleven minutes. It
// is to be called before anything else.
func (r *Reconciler) Restore(list []changes.Change) {
	r.round.Lock()
	defer r.round.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range list {
		c := &list[i]
		if c.Kind != changes.Refused {
			delete(r.refused, c.InterfaceID)
			r.hear(c)
			continue
		}
		known, _, _ := remember(r.refused[c.InterfaceID], Refused{
			Refusal: Refusal{Code: c.Code, Message: c.Message}, At: c.At, restored: true,
			Session: Session{ID: c.SessionID, InterfaceID: c.InterfaceID, TargetID: c.TargetID,
				FilterID: c.FilterID, Number: c.Number, VNI: c.VNI, PacketLength: c.PacketLength},
		}, r.c.Rules.VNIs)
		r.refused[c.InterfaceID] = known
	}
}
