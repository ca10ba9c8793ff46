package filter

import (
	"fmt"
	"math/bits"
	"net/netip"

	"github.com/periscope-collector/periscope/packet"
)

// Keep says how much of a frame is kept.
type Keep uint8

// What is kept of a frame, from all to nothing.
const (
	Full    Keep = iota
	Headers      // up to the end of the transport header; the real length stays
	None
)

// String returns "full", "headers" or "none".
func (k Keep) String() string {
	switch k {
	case Full:
		return "full"
	case Headers:
		return "headers"
	case None:
		return "none"
	}
	return "unknown"
}

// AnyVNI is the VNI of a Match that names none.
const AnyVNI = -1

// A Match names sessions. All that is set must hold; a Match of nothing but
// AnyVNI holds for all.
type Match struct {
	Session    string // its name, or AWS's id of it
	Service    string // of ECS
	Cluster    string // of ECS
	LabelKey   string // a label it has
	LabelValue string // of that label; empty means any
	VNI        int64  // 0 to 2^24-1, or AnyVNI
}

// Meets reports whether all that is set holds for s. It reads what never changes
// of a session. The answer may be kept for as long as the session is.
func (m *Match) Meets(s *packet.Session) bool {
	w := &s.Workload
	switch {
	case m.Session != "" && m.Session != s.Name && m.Session != w.SessionID,
		m.Service != "" && m.Service != w.Service,
		m.Cluster != "" && m.Cluster != w.Cluster,
		m.VNI != AnyVNI && m.VNI != int64(s.VNI):
		return false
	}
	if m.LabelKey == "" {
		return true
	}
	value, ok := w.Labels[m.LabelKey]
	return ok && (m.LabelValue == "" || m.LabelValue == value)
}

// A KeepRule says what to keep of the frames it meets: those of the sessions of
// Match, with an end of that address and port.
type KeepRule struct {
	Match
	Prefix netip.Prefix // of an end; the zero value means any
	Ports  Ports        // of TCP, UDP or SCTP, of the same end; the zero value means any
	Keep   Keep
}

// MaxKeepRules is how many rules a Policy has at most.
const MaxKeepRules = 64

// A Policy is rules about what to keep, of which the first that a frame meets
// counts; of a frame that meets none all is kept. It is immutable. The zero
// value has no rules.
type Policy struct{ rules []keepRule }

type keepRule struct {
	match       Match
	keep        Keep
	byFrame     bool // the ends count
	version     uint8
	value, mask [2]uint64
	ports       bool
	from, span  uint16
}

// NewPolicy compiles rules. There are at most MaxKeepRules.
func NewPolicy(rules []KeepRule) (*Policy, error) {
	if len(rules) > MaxKeepRules {
		return nil, fmt.Errorf("keep: %d rules; %d are the most", len(rules), MaxKeepRules)
	}
	p := &Policy{}
	for i := range rules {
		r := &rules[i]
		switch {
		case r.Ports.From > r.Ports.To:
			return nil, fmt.Errorf("keep[%d].port: begins at %d and ends before, at %d; swap them", i, r.Ports.From, r.Ports.To)
		case r.Prefix.Addr().Is4In6():
			return nil, fmt.Errorf("keep[%d].cidr: %v is IPv4 in IPv6; write the IPv4 prefix", i, r.Prefix)
		}
		p.rules = append(p.rules, r.compile())
	}
	return p, nil
}

func (r *KeepRule) compile() keepRule {
	c := keepRule{
		match:   r.Match,
		keep:    r.Keep,
		byFrame: r.Prefix.IsValid() || !r.Ports.All(),
		ports:   !r.Ports.All(),
		from:    r.Ports.From,
		span:    r.Ports.To - r.Ports.From,
	}
	if r.Prefix.IsValid() {
		n := r.Prefix.Bits()
		if c.version = 6; r.Prefix.Addr().Is4() {
			c.version = 4
			n += 96
		}
		base := packet.AddrFrom(r.Prefix.Masked().Addr())
		w := words(&base, &base)
		c.value = [2]uint64(w[:2])
		c.mask = [2]uint64{ones(n), ones(n - 64)}
	}
	return c
}

// Unidentified returns the policy for sessions of which it may yet be learnt who
// they are. What a rule says of some session, service, cluster or label may be
// said of them: a rule that keeps headers or nothing leaves them the headers, one
// that keeps all is not met.
func (p *Policy) Unidentified() *Policy {
	u := &Policy{}
	for _, r := range p.rules {
		if m := (Match{VNI: r.match.VNI}); m != r.match {
			if r.keep == Full {
				continue
			}
			r.match, r.keep = m, Headers
		}
		u.rules = append(u.rules, r)
	}
	return u
}

// Rules returns the rules that the session's frames can meet, bit i for rule i.
// The answer may be kept for as long as the session is.
func (p *Policy) Rules(s *packet.Session) (rules uint64) {
	for i := range p.rules {
		if p.rules[i].match.Meets(s) {
			rules |= 1 << i
		}
	}
	return rules
}

// Of returns what to keep of a decoded frame of a session, given that session's
// Rules. Where a rule names an address or a port and the frame's cannot be read,
// of a later fragment for example, the frame meets the rule unless that keeps
// all of it: what is not to be kept does not come in by what cannot be told. It
// allocates nothing.
func (p *Policy) Of(rules uint64, f *packet.Frame) Keep {
	for ; rules != 0; rules &= rules - 1 {
		r := &p.rules[bits.TrailingZeros64(rules)]
		if !r.byFrame || r.meets(&f.Header) {
			return r.keep
		}
	}
	return Full
}

// meets reports whether an end of the frame has the rule's address and port.
func (r *keepRule) meets(h *packet.Header) bool {
	return r.meetsEnd(h, &h.Src, h.SrcPort) || r.meetsEnd(h, &h.Dst, h.DstPort)
}

func (r *keepRule) meetsEnd(h *packet.Header, a *packet.Addr, port uint16) bool {
	doubt := r.keep != Full
	if r.version != 0 {
		switch {
		case h.Network == 0:
			return doubt && h.Anomaly != packet.NoAnomaly
		case !r.holds(h, a):
			return false
		}
	}
	switch {
	case !r.ports:
		return true
	case h.Transport == 0:
		return doubt && mayHavePorts(h)
	}
	return ported(h.Protocol) && port-r.from <= r.span
}

// holds reports whether the prefix holds an address of a frame, of ARP too.
func (r *keepRule) holds(h *packet.Header, a *packet.Addr) bool {
	if max(h.Version, 4) != r.version { // ARP's addresses are of IPv4
		return false
	}
	w := words(a, a)
	return (w[0]^r.value[0])&r.mask[0] == 0 && (w[1]^r.value[1])&r.mask[1] == 0
}

// mayHavePorts reports whether a frame of which no transport header was read may
// have ports all the same.
func mayHavePorts(h *packet.Header) bool {
	switch h.Anomaly {
	case packet.NoAnomaly, packet.UnknownProtocol:
		return ported(h.Protocol)
	}
	return true
}

func ported(protocol uint8) bool {
	switch protocol {
	case packet.ProtocolTCP, packet.ProtocolUDP, packet.ProtocolSCTP:
		return true
	}
	return false
}
