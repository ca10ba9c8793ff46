package filter

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/periscope-collector/periscope/packet"
)

// A Verdict is what a filter says of a packet, and why.
type Verdict struct {
	Action Action

	// Rule is the index in Filter.Rules of the rule that decided, or NoRule or
	// AmazonDNS.
	Rule int
}

// What decides where no rule does.
const (
	NoRule    = -1 // none matches, so the packet is rejected
	AmazonDNS = -2 // the network service amazon-dns, or that the filter lacks it
)

// A Program is a compiled filter. It is immutable.
type Program struct {
	dns   Action                                 // what becomes of Amazon DNS
	rules [packet.NumDirections][families][]rule // by number
}

// The families of addresses, as indices.
const (
	ipv4 = iota
	ipv6
	families
)

// A rule is a compiled Rule. Its heads, the first 32 bits of the source and of
// the destination, are all there is to compare in IPv4, and tell most packets
// of IPv6 apart.
type rule struct {
	heads, mask uint64 // a bit of heads counts where it is set in mask
	long        *long  // what is behind the heads, nil if none of it counts
	protocol    int16  // or AllProtocols
	ports       bool   // from and span count
	action      Action
	from, span  [2]uint16 // of the source and the destination port
	index       int32     // in Filter.Rules
}

// long is both addresses of IPv6, the source first.
type long struct{ value, mask [4]uint64 }

// Compile returns the filter as a program. It is an error if a rule is not
// valid, if two of a direction have one number, or if a direction has more than
// MaxRules.
func (f *Filter) Compile() (*Program, error) {
	for i, fault := range f.faults() {
		return nil, fmt.Errorf("filter %s: rules[%d].%s: %s", f.Name, i, fault.field, fault.message)
	}
	order := make([]int, len(f.Rules))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(f.Rules[a].Number, f.Rules[b].Number) })
	p := &Program{dns: Reject}
	if f.AmazonDNS {
		p.dns = Accept
	}
	for _, i := range order {
		r := &f.Rules[i]
		family := ipv6
		if r.Source.Addr().Is4() {
			family = ipv4
		}
		to := &p.rules[r.Direction][family]
		*to = append(*to, r.compile(i))
	}
	return p, nil
}

func (r *Rule) compile(index int) rule {
	c := rule{
		protocol: int16(r.Protocol),
		ports:    !r.SourcePorts.All() || !r.DestinationPorts.All(),
		action:   r.Action,
		index:    int32(index),
	}
	for i, ports := range [2]Ports{r.SourcePorts, r.DestinationPorts} {
		if ports.All() {
			ports.To = 0xffff
		}
		c.from[i], c.span[i] = ports.From, ports.To-ports.From
	}
	source, destination := r.Source.Masked().Addr(), r.Destination.Masked().Addr()
	bits := [2]int{r.Source.Bits(), r.Destination.Bits()}
	c.mask = ones(bits[0])>>32<<32 | ones(bits[1])>>32
	src, dst := packet.AddrFrom(source), packet.AddrFrom(destination)
	if source.Is4() {
		c.heads = heads4(&src, &dst)
		return c
	}
	c.heads = heads6(&src, &dst)
	if max(bits[0], bits[1]) > 32 {
		c.long = &long{
			value: words(&src, &dst),
			mask:  [4]uint64{ones(bits[0]), ones(bits[0] - 64), ones(bits[1]), ones(bits[1] - 64)},
		}
	}
	return c
}

// ones returns a word whose first n bits are set; none if n is negative, all if
// n is more than 64.
func ones(n int) uint64 { return ^(^uint64(0) >> max(n, 0)) }

func heads4(src, dst *packet.Addr) uint64 {
	return uint64(binary.BigEndian.Uint32(src[12:]))<<32 | uint64(binary.BigEndian.Uint32(dst[12:]))
}

func heads6(src, dst *packet.Addr) uint64 {
	return uint64(binary.BigEndian.Uint32(src[:]))<<32 | uint64(binary.BigEndian.Uint32(dst[:]))
}

func words(src, dst *packet.Addr) [4]uint64 {
	return [4]uint64{
		binary.BigEndian.Uint64(src[:]), binary.BigEndian.Uint64(src[8:]),
		binary.BigEndian.Uint64(dst[:]), binary.BigEndian.Uint64(dst[8:]),
	}
}

// Accepts reports whether the filter accepts a frame that is decoded and has its
// session and direction. A frame of unknown direction is accepted if it would be
// as ingress or as egress. What is not IP never is. It allocates nothing, and
// takes time in proportion to the rules of the frame's direction and family.
func (p *Program) Accepts(f *packet.Frame) bool { return p.Match(f).Action == Accept }

// Match is Accepts, and tells what decided: of an unknown direction, what
// accepts as ingress, else as egress, else what rejects as ingress.
func (p *Program) Match(f *packet.Frame) Verdict {
	h := &f.Header
	var heads uint64
	family := ipv4
	switch h.Version {
	case 4:
		heads = heads4(&h.Src, &h.Dst)
	case 6:
		heads, family = heads6(&h.Src, &h.Dst), ipv6
	default:
		return Verdict{Reject, NoRule}
	}
	if isAmazonDNS(f) {
		return Verdict{p.dns, AmazonDNS}
	}
	if f.Direction != packet.DirectionUnknown {
		return match(p.rules[f.Direction][family], h, heads)
	}
	in := match(p.rules[packet.Ingress][family], h, heads)
	if in.Action == Reject {
		if out := match(p.rules[packet.Egress][family], h, heads); out.Action == Accept {
			return out
		}
	}
	return in
}

// match returns the verdict of the first rule that matches.
func match(rules []rule, h *packet.Header, heads uint64) Verdict {
	ported := hasPorts(h)
	for i := range rules {
		r := &rules[i]
		if (heads^r.heads)&r.mask != 0 ||
			r.protocol != AllProtocols && r.protocol != int16(h.Protocol) ||
			r.ports && !(ported && h.SrcPort-r.from[0] <= r.span[0] && h.DstPort-r.from[1] <= r.span[1]) ||
			r.long != nil && !r.long.holds(&h.Src, &h.Dst) {
			continue
		}
		return Verdict{r.action, int(r.index)}
	}
	return Verdict{Reject, NoRule}
}

func (l *long) holds(src, dst *packet.Addr) bool {
	w := words(src, dst)
	var differ uint64
	for i := range w {
		differ |= (w[i] ^ l.value[i]) & l.mask[i]
	}
	return differ == 0
}

// hasPorts reports whether ports can be read that a rule may name: those of TCP
// and UDP.
func hasPorts(h *packet.Header) bool {
	return h.Transport != 0 && (h.Protocol == packet.ProtocolTCP || h.Protocol == packet.ProtocolUDP)
}

// portDNS is DNS's port, over UDP and over TCP (RFC 1035, section 4.2).
const portDNS = 53

// isAmazonDNS reports whether an IP packet is one to or from the Amazon DNS
// server: TCP or UDP, port 53 there. So is one whose ports cannot be read, a
// later fragment, since there is nothing else at these addresses.
func isAmazonDNS(f *packet.Frame) bool {
	h := &f.Header
	if h.Protocol != packet.ProtocolUDP && h.Protocol != packet.ProtocolTCP {
		return false
	}
	unread := h.Transport == 0
	if !unread && h.SrcPort != portDNS && h.DstPort != portDNS {
		return false
	}
	w := &f.Session.Workload
	return (unread || h.DstPort == portDNS) && w.IsResolver(&h.Dst) ||
		(unread || h.SrcPort == portDNS) && w.IsResolver(&h.Src)
}
