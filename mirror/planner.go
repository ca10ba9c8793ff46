package mirror

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A planner makes one plan.
type planner struct {
	rules   *Rules
	state   *State
	refused map[string][]Refused
	plan    *Plan

	sources []*Source          // by id, each once; those that are refused last
	known   map[string]*Source // the same
	gone    map[string]bool
	targets map[string]string // interfaces that are a target, and of which

	on       map[string][]*Session      // all sessions, by interface, lowest id first
	own      map[string][]*Session      // those of the owner
	users    map[string]map[string]bool // interfaces mirrored to a target, by target
	vnis     map[uint32]string          // that are taken, and by which session; "" if it has no id yet
	spent    bool                       // no VNI of the range is free
	sessions int                        // of the account, with those of the plan
}

func newPlanner(rules *Rules, state *State, refused map[string][]Refused) *planner {
	p := &planner{
		rules: rules, state: state, refused: refused, plan: &Plan{},
		known: make(map[string]*Source, len(state.Sources)), gone: make(map[string]bool, len(state.Gone)),
		targets: make(map[string]string, len(state.Targets)),
		on:      make(map[string][]*Session), own: make(map[string][]*Session),
		users: make(map[string]map[string]bool), vnis: make(map[uint32]string, len(state.Sessions)),
	}
	for _, id := range state.Gone {
		p.gone[id] = true
	}
	for i := range state.Sources {
		if s := &state.Sources[i]; p.known[s.InterfaceID] == nil && !p.gone[s.InterfaceID] {
			p.known[s.InterfaceID] = s
			p.sources = append(p.sources, s)
		}
	}
	// What AWS refuses whatever the target goes last, and takes no other's place.
	refusals := make(map[string]int)
	for id, list := range refused {
		if slices.ContainsFunc(list, func(r Refused) bool { return !ofTarget[r.Code] }) {
			refusals[id] = 1
		}
	}
	slices.SortFunc(p.sources, func(a, b *Source) int {
		return cmp.Or(refusals[a.InterfaceID]-refusals[b.InterfaceID], cmp.Compare(a.InterfaceID, b.InterfaceID))
	})
	for id, t := range state.Targets {
		if t.InterfaceID != "" {
			p.targets[t.InterfaceID] = max(id, p.targets[t.InterfaceID])
		}
	}
	p.list()
	return p
}

// list takes down what sessions there are. Of a VNI that several have, those of
// others have it, then rules that name it, then the lowest id.
func (p *planner) list() {
	sessions := make([]*Session, len(p.state.Sessions))
	for i := range p.state.Sessions {
		sessions[i] = &p.state.Sessions[i]
	}
	slices.SortFunc(sessions, func(a, b *Session) int { return cmp.Compare(a.ID, b.ID) })
	for _, r := range p.rules.Sources {
		p.vnis[r.VNI] = ""
	}
	for _, s := range sessions {
		p.on[s.InterfaceID] = append(p.on[s.InterfaceID], s)
		p.use(s.TargetID, s.InterfaceID)
		if p.ours(s) {
			p.sessions++
		}
		if !p.owns(s) {
			p.vnis[s.VNI] = s.ID
		}
	}
	for _, s := range sessions {
		if !p.owns(s) {
			continue
		}
		p.own[s.InterfaceID] = append(p.own[s.InterfaceID], s)
		if _, taken := p.vnis[s.VNI]; !taken {
			p.vnis[s.VNI] = s.ID
		}
	}
}

// ours reports whether a session is the account's.
func (p *planner) ours(s *Session) bool {
	return s.OwnerID == "" || p.state.Account == "" || s.OwnerID == p.state.Account
}

// owns reports whether a session may be touched.
func (p *planner) owns(s *Session) bool { return s.Tags[TagOwner] == p.rules.Owner && p.ours(s) }

// source plans for one interface that is there. While too little is known of it, it
// stays as it is.
func (p *planner) source(s *Source) {
	own := p.own[s.InterfaceID]
	rule, sure := p.rules.rule(s)
	switch {
	case !sure:
		p.hold(Held{Source: s, Reason: "EC2 does not list it yet, and a rule asks for its VPC or tags"})
		return
	case rule == nil:
		p.remove(s, own, "no rule matches its interface")
		return
	case !rule.Mirror:
		p.remove(s, own, fmt.Sprintf("rule %q leaves its interface out", rule.Name))
		return
	case s.Type == "":
		p.hold(Held{Source: s, Rule: rule.Name, Reason: "EC2 does not list it yet, and its type is not known"})
		return
	}
	if reason := p.unfit(s); reason != "" {
		p.hold(Held{Source: s, Rule: rule.Name, Reason: reason})
		p.remove(s, own, reason)
		return
	}
	has, spare := kept(own, rule.Number)
	p.remove(s, spare, "its interface has another session of ours")
	if reason, room := p.full(s, has, rule); reason != "" {
		p.hold(Held{Source: s, Session: value(has), Rule: rule.Name, Reason: reason, Room: room})
		return
	}
	if p.state.Filters != nil && !p.state.Filters[rule.Filter] {
		p.hold(Held{Source: s, Session: value(has), Rule: rule.Name, Reason: "its filter is not there: " + rule.Filter})
		return
	}
	p.want(s, rule, has)
}

// unfit says why an interface is never mirrored, or "".
func (p *planner) unfit(s *Source) string {
	if s.Type != "interface" { // AWS, "Traffic Mirroring limitations", sources
		return fmt.Sprintf("an interface of type %q cannot be mirrored, only one of type \"interface\"", s.Type)
	}
	if target := p.targets[s.InterfaceID]; target != "" {
		return "it is the interface of target " + target + ", which cannot be mirrored itself"
	}
	return ""
}

// kept chooses the session to keep of those of one interface: the one with the
// wanted number, else the lowest id. It is nil if there is none.
func kept(own []*Session, number int) (has *Session, spare []*Session) {
	for _, s := range own {
		if has == nil || has.Number != number && s.Number == number {
			has = s
		}
	}
	for _, s := range own {
		if s != has {
			spare = append(spare, s)
		}
	}
	return has, spare
}

// full says which quota or number of the interface or the account leaves no place
// for a session, or "".
func (p *planner) full(s *Source, has *Session, rule *Rule) (reason string, room bool) {
	on := p.on[s.InterfaceID]
	for _, other := range on {
		if other.Number == rule.Number && other != has && !p.owns(other) {
			return fmt.Sprintf("its session number %d is taken by %s, which is not ours; give the rule another number", rule.Number, other.ID), false
		}
	}
	switch {
	case has != nil:
		return "", false
	case len(on) >= maxPerSource:
		return fmt.Sprintf("it has %d sessions, and AWS allows %d", len(on), maxPerSource), true
	case p.sessions >= maxSessions:
		return fmt.Sprintf("the account has %d sessions, and AWS allows %d", p.sessions, maxSessions), true
	}
	return "", false
}

// want plans a session for s, which has one or none.
func (p *planner) want(s *Source, rule *Rule, has *Session) {
	wish := value(has)
	wish.InterfaceID, wish.FilterID, wish.Number, wish.PacketLength = s.InterfaceID, rule.Filter, rule.Number, rule.PacketLength
	offset := 0
	switch {
	case rule.VNI != 0:
		wish.VNI = rule.VNI
	case has != nil && p.rules.VNIs.has(has.VNI) && p.vnis[has.VNI] == has.ID:
	default:
		if wish.VNI, offset = p.free(s.InterfaceID); wish.VNI == 0 {
			p.hold(Held{Source: s, Session: value(has), Rule: rule.Name, Reason: "every VNI of the range is taken; make the range larger", Room: true})
			return
		}
	}
	held, ok := p.place(s, rule, has, &wish)
	switch {
	case !ok:
		held.Source, held.Session, held.Rule = s, value(has), rule.Name
		p.hold(held)
	case has == nil:
		wish.Tags = tags(p.rules.Owner, rule, s, offset)
		wish.OwnerID = p.state.Account
		p.sessions++
		p.plan.Actions = append(p.plan.Actions, Action{Verb: Create, Session: wish, Source: s, Rule: rule.Name,
			Reason: fmt.Sprintf("rule %q wants it", rule.Name), Token: token(&wish, p.state.dead[s.InterfaceID], p.state.At)})
	case !p.same(has, &wish):
		p.plan.Actions = append(p.plan.Actions, Action{Verb: Modify, Session: wish, Before: *has, Source: s, Rule: rule.Name,
			Reason: difference(has, &wish)})
	}
}

// remove plans the end of sessions of one interface.
func (p *planner) remove(s *Source, sessions []*Session, reason string) {
	for _, session := range sessions {
		if r := p.waits(session); r != nil {
			p.hold(Held{Source: s, Session: *session, Reason: reason + ", but AWS refuses to delete the session: " + r.Error(), Refused: r})
			continue
		}
		p.plan.Actions = append(p.plan.Actions, Action{Verb: Delete, Session: *session, Source: s, Reason: reason})
	}
}

// waits returns the refusal that a wish has to wait after, or nil.
func (p *planner) waits(wish *Session) *Refused {
	list := p.refused[wish.InterfaceID]
	for i := range list {
		if list[i].about(wish, p.rules.VNIs) && p.state.At.Before(list[i].Until) {
			r := list[i]
			return &r
		}
	}
	return nil
}

func (p *planner) hold(h Held) {
	if h.Session.InterfaceID == "" {
		h.Session.InterfaceID = h.Source.InterfaceID
	}
	p.plan.Held = append(p.plan.Held, h)
}

// value returns what s points to, or the zero value.
func value(s *Session) Session {
	if s == nil {
		return Session{}
	}
	return *s
}

// difference says what a session gets.
func difference(a, b *Session) string {
	var parts []string
	for _, f := range []struct {
		name     string
		from, to any
	}{
		{"target", a.TargetID, b.TargetID}, {"filter", a.FilterID, b.FilterID}, {"number", a.Number, b.Number},
		{"VNI", a.VNI, b.VNI}, {"packet length", a.PacketLength, b.PacketLength},
	} {
		if f.from != f.to {
			parts = append(parts, fmt.Sprintf("%s %v instead of %v", f.name, f.to, f.from))
		}
	}
	return strings.Join(parts, ", ")
}
