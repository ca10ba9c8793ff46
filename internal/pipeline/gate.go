package pipeline

import (
	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/packet"
)

// Rules say what of the traffic is kept. The zero value keeps all of it. They do
// not change once a pipeline has them.
type Rules struct {
	// Sessions give sessions a filter; the first that matches counts. A frame
	// that it refuses is not delivered.
	Sessions []SessionRule

	// Keep says what sinks get of a frame. Nil is all of it. Learns says that
	// who a session is may be learnt after its first frames.
	Keep   *filter.Policy
	Learns bool

	// Sinks are the filters of sinks, by name. What one refuses is not offered.
	Sinks map[string]*filter.Program
}

// A SessionRule gives the sessions that it matches a filter.
type SessionRule struct {
	filter.Match
	Filter *filter.Program
}

// maxSinks is how many sinks a pipeline can have.
const maxSinks = 8

// A gate is rules as workers apply them. New rules are a new gate, with nothing
// of what was decided by the old ones.
type gate struct {
	sessions []SessionRule
	keep     *filter.Policy
	unsure   *filter.Policy            // of sessions that are not identified
	sinks    [maxSinks]*filter.Program // by index in Pipeline.sinks
	decided  []*[maxDecided]decision   // by worker, which alone uses its own
}

// A decision is what rules say of a session, whatever the frame.
type decision struct {
	session uint32 // ID; 0 is nothing decided
	keep    uint64 // the rules of policy that its frames can meet
	policy  *filter.Policy
	filter  *filter.Program
}

// maxDecided is how many decisions a worker remembers, by the low bits of the
// session's ID: those on 10,000 sessions have a place each. They take 512 KiB a
// worker, and memory only where there are sessions.
const maxDecided = 1 << 14

// SetRules replaces the rules, for frames from then on and for records that are
// written from then on.
func (p *Pipeline) SetRules(r Rules) {
	if len(r.Sessions) == 0 && r.Keep == nil && len(r.Sinks) == 0 {
		p.gate.Store(nil)
		return
	}
	g := &gate{sessions: r.Sessions, keep: r.Keep, decided: make([]*[maxDecided]decision, len(p.workers))}
	if g.keep == nil {
		g.keep = &filter.Policy{}
	}
	if g.unsure = g.keep; r.Learns {
		g.unsure = g.keep.Unidentified()
	}
	for i := range g.decided {
		g.decided[i] = new([maxDecided]decision)
	}
	for i := range p.sinks {
		g.sinks[i] = r.Sinks[p.sinks[i].Name]
	}
	p.gate.Store(g)
}

// decide returns what the rules say of a session.
func (g *gate) decide(worker int, s *packet.Session) *decision {
	d := &g.decided[worker][s.ID%maxDecided]
	if d.session != s.ID {
		policy := g.keep
		if !identified(s) {
			policy = g.unsure
		}
		*d = decision{session: s.ID, keep: policy.Rules(s), policy: policy, filter: g.filterOf(s)}
	}
	return d
}

// identified reports whether nothing more is to be learnt of a session: it is
// known, and AWS, if it was AWS, said which instance or task is behind it.
func identified(s *packet.Session) bool {
	w := &s.Workload
	return s.Known && (!s.Learned || w.InstanceID != "" || w.TaskARN != "")
}

func (g *gate) filterOf(s *packet.Session) *filter.Program {
	for i := range g.sessions {
		if g.sessions[i].Meets(s) {
			return g.sessions[i].Filter
		}
	}
	return nil
}

// offer gives the sinks what the rules leave them of a frame, which is whole
// again when it returns. It reports whether the filter of the frame's session
// accepts the frame: otherwise nobody gets it.
func (p *Pipeline) offer(g *gate, worker int, f *packet.Frame) bool {
	d := g.decide(worker, f.Session)
	switch {
	case d.filter != nil && !d.filter.Accepts(f):
		return false
	case len(p.frameSinks) == 0:
		return true
	}
	w := &p.workers[worker]
	keep := d.policy.Of(d.keep, f)
	whole := f.Data
	if keep == filter.Headers && cut(f) {
		w.cut++
	}
	for i := range p.frameSinks {
		s := &p.frameSinks[i]
		if keep == filter.None || g.sinks[s.place] != nil && !g.sinks[s.place].Accepts(f) {
			w.policy[s.place]++
			continue
		}
		s.Offer(worker, f)
	}
	f.Data, f.Cut = whole, 0
	return true
}

// cut leaves of a frame what its headers take, and reports whether it was more.
//
// A header does not go on behind its packet: what lies there, when the lengths
// in the headers contradict one another, is not known to be one.
func cut(f *packet.Frame) bool {
	h := &f.Header
	end := int(h.Payload)
	if h.IPLength != 0 {
		end = min(end, int(h.Network)+max(int(h.IPLength), ipv4Len))
	}
	if end >= len(f.Data) {
		return false
	}
	f.Cut = len(f.Data) - end
	f.Data = f.Data[:end:end]
	return true
}

// emit gives a record to the sinks whose filter, if they have one, accepts it.
func (p *Pipeline) emit(worker int, r *packet.Flow) {
	g := p.gate.Load()
	for i := range p.flowSinks {
		s := &p.flowSinks[i]
		if g != nil && g.sinks[s.place] != nil && !acceptsFlow(g.sinks[s.place], r) {
			p.workers[worker].policy[s.place]++
			continue
		}
		s.Flow(worker, r)
	}
}

// acceptsFlow reports whether a filter accepts what either end of a flow sent, by
// addresses, protocol and ports, and the direction of its first packet.
func acceptsFlow(program *filter.Program, r *packet.Flow) bool {
	for i := range r.Side {
		from, to := i, 1-i
		if r.Side[i].Packets == 0 {
			continue
		}
		f := packet.Frame{
			Session:   r.Session,
			Direction: r.Side[i].Direction,
			Header: packet.Header{
				Src: r.Addr[from], Dst: r.Addr[to],
				SrcPort: r.Port[from], DstPort: r.Port[to],
				Version: 6, Protocol: r.Protocol,
				Network: packet.EthernetLen,
			},
		}
		if r.Addr[0].Is4() {
			f.Header.Version = 4
		}
		if r.Port != [2]uint16{} { // else there are none, or they were not seen
			f.Header.Transport = packet.EthernetLen + ipv4Len
		}
		if program.Accepts(&f) {
			return true
		}
	}
	return false
}
