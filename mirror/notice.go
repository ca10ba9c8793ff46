package mirror

import "maps"

// A holding is why an interface is held.
type holding struct{ interfaceID, reason string }

// notice logs what a plan says beside its actions: quotas that are near, and again
// when they are reached, and interfaces that are held; each when it comes to be.
// Refusals are logged as they come.
func (r *Reconciler) notice(state *State, plan *Plan) {
	noticed := make(map[Notice]bool, len(plan.Notices))
	for _, n := range plan.Notices {
		key := Notice{Quota: n.Quota, ID: n.ID}
		if n.Used >= n.Limit {
			key.Used = 1
		}
		if noticed[key] = true; !r.noticed[key] {
			r.c.Log.Warn("a quota is near or reached", "quota", n.Quota, "id", n.ID, "used", n.Used, "limit", n.Limit)
		}
	}
	r.noticed = noticed
	held := make(map[holding]bool, len(plan.Held))
	for _, h := range plan.Held {
		key := holding{h.Session.InterfaceID, h.Reason}
		if h.Refused != nil {
			continue
		}
		if held[key] = true; !r.held[key] {
			r.c.Log.Info("an interface is not as it is wanted", "interface", key.interfaceID, "rule", h.Rule, "reason", h.Reason)
		}
	}
	if !state.Whole { // the others are as they were
		maps.Copy(held, r.held)
	}
	r.held = held
}
