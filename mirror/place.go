package mirror

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The quotas of AWS (Amazon VPC Traffic Mirroring, "Quotas"). None can be raised.
const (
	maxPerSource = 3      // sessions of an interface
	maxSessions  = 10_000 // of an account in a region
	maxSources   = 10     // interfaces of a target that is an interface; of some instance types 100
)

// The quotas that notices are about.
const (
	QuotaSources  = "sources of the target"
	QuotaSessions = "sessions of the account"
	QuotaVNIs     = "VNIs of the range"
)

// The types of targets.
const (
	typeInterface    = "network-interface"
	typeLoadBalancer = "network-load-balancer"
)

// ofTarget are refusals that another target may not get.
var ofTarget = map[string]bool{
	"TrafficMirrorSourcesPerTargetLimitExceeded":  true,
	"TrafficMirrorSessionsPerTargetLimitExceeded": true,
	"InvalidTrafficMirrorTargetId.NotFound":       true,
}

// use takes down that an interface is, or will be, mirrored to a target.
func (p *planner) use(target, source string) {
	if p.users[target] == nil {
		p.users[target] = make(map[string]bool)
	}
	p.users[target][source] = true
}

// place gives a wish its target, or says why it has none. A session keeps the one
// it has while that is allowed and there.
func (p *planner) place(s *Source, rule *Rule, has *Session, wish *Session) (held Held, ok bool) {
	candidates := p.candidates(s, rule)
	if has != nil && slices.Contains(candidates, has.TargetID) {
		candidates = []string{has.TargetID}
	}
	var crowded []string
	for _, id := range candidates {
		wish.TargetID = id
		if has != nil && p.same(has, wish) {
			return Held{}, true
		}
		if used, limit := len(p.users[id]), p.limit(id); limit > 0 && used >= limit && !p.users[id][s.InterfaceID] {
			crowded = append(crowded, fmt.Sprintf("%s has %d of %d sources", id, used, limit))
			continue
		}
		r := p.waits(wish)
		if r == nil {
			p.use(id, s.InterfaceID)
			return Held{}, true
		}
		if held.Refused == nil {
			held = Held{Reason: "AWS refuses it: " + r.Error(), Refused: r}
		}
		if !ofTarget[r.Code] {
			return held, false
		}
	}
	switch {
	case len(candidates) == 0:
		held.Reason = "none of its targets is there: " + strings.Join(rule.Targets, ", ")
	case held.Refused == nil:
		held.Reason, held.Room = "no target has room: "+strings.Join(crowded, ", ")+"; add a load balancer as a target", true
	}
	return held, false
}

// candidates returns the targets of a rule that are there: interfaces in the zone
// of s, other interfaces, then those without a bound; each in the rule's order.
func (p *planner) candidates(s *Source, rule *Rule) []string {
	var list []string
	for _, id := range rule.Targets {
		if _, ok := p.state.Targets[id]; ok {
			list = append(list, id)
		}
	}
	rank := func(id string) int {
		switch t := p.state.Targets[id]; {
		case t.Type != typeInterface:
			return 2
		case t.AZID == "" || t.AZID != s.AZID:
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return list
}

// limit returns how many interfaces may be mirrored to a target; 0 means any number.
func (p *planner) limit(target string) int {
	for _, t := range p.rules.Targets {
		if t.ID == target && t.MaxSources > 0 {
			return t.MaxSources
		}
	}
	if p.state.Targets[target].Type == typeInterface {
		return maxSources
	}
	return 0
}

// same reports whether a session is as it is wished. To a load balancer the longest
// packet is the default (EC2 API, CreateTrafficMirrorSession).
func (p *planner) same(has, wish *Session) bool {
	length := func(s *Session) int {
		if s.PacketLength == 0 && p.state.Targets[s.TargetID].Type == typeLoadBalancer {
			return maxLength
		}
		return s.PacketLength
	}
	return has.TargetID == wish.TargetID && has.FilterID == wish.FilterID && has.Number == wish.Number &&
		has.VNI == wish.VNI && length(has) == length(wish)
}

// notices says which quotas are near.
func (p *planner) notices() {
	note := func(quota, id string, used, limit int) {
		if limit > 0 && used*5 >= limit*4 {
			p.plan.Notices = append(p.plan.Notices, Notice{quota, id, used, limit})
		}
	}
	for _, t := range p.rules.Targets {
		if _, ok := p.state.Targets[t.ID]; ok {
			note(QuotaSources, t.ID, len(p.users[t.ID]), p.limit(t.ID))
		}
	}
	note(QuotaSessions, "", p.sessions, maxSessions)
	used := 0
	for vni := range p.vnis {
		if p.rules.VNIs.has(vni) {
			used++
		}
	}
	note(QuotaVNIs, "", used, p.rules.VNIs.size())
}
