package filter

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
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

// A rule is a compiled Rule. A packet that differs in a bit of gist or kind that
// counts does not match, and most that do not match differ there.
type rule struct {
	gist, gistMask uint64 // of both addresses; a bit counts where it is set in the mask
	kind, kindMask uint64
	from, span     [2]uint16 // of the source and the destination port
	action         Action
	index          int32 // in Filter.Rules
	long           *long // whole addresses of IPv6, nil if no bit counts
}

// kindOf puts a protocol and its ports into a word. shows says that ports of TCP
// or UDP can be read.
func kindOf(protocol uint8, shows bool, src, dst uint16) uint64 {
	kind := uint64(src)<<48 | uint64(dst)<<32 | uint64(protocol)
	if shows {
		kind |= showsPorts
	}
	return kind
}

const showsPorts = 1 << 8

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
	c := rule{action: r.Action, index: int32(index)}
	c.kind = kindOf(uint8(r.Protocol), true, r.SourcePorts.From, r.DestinationPorts.From)
	if r.Protocol != AllProtocols {
		c.kindMask = 0xff
	}
	for i, ports := range [2]Ports{r.SourcePorts, r.DestinationPorts} {
		if ports.All() {
			ports.To = 0xffff
		} else {
			c.kindMask |= showsPorts | uint64(common(ports))<<(48-16*i)
		}
		c.from[i], c.span[i] = ports.From, ports.To-ports.From
	}
	src, dst := packet.AddrFrom(r.Source.Masked().Addr()), packet.AddrFrom(r.Destination.Masked().Addr())
	lengths := [2]int{r.Source.Bits(), r.Destination.Bits()}
	if r.Source.Addr().Is4() {
		c.gist, c.gistMask = gist4(&src, &dst), ones(lengths[0])>>32<<32|ones(lengths[1])>>32
		return c
	}
	c.gist, c.gistMask = gist6(&src, &dst), ones(lengths[0])<<32|ones(lengths[1])&(1<<32-1)
	if lengths[0]+lengths[1] > 0 {
		c.long = &long{
			value: words(&src, &dst),
			mask:  [4]uint64{ones(lengths[0]), ones(lengths[0] - 64), ones(lengths[1]), ones(lengths[1] - 64)},
		}
	}
	return c
}

// common returns the leading bits that all the ports have in common.
func common(p Ports) uint16 { return ^(1<<bits.Len16(p.From^p.To) - 1) }

// ones returns a word whose first n bits are set; none if n is negative, all if
// n is more than 64.
func ones(n int) uint64 { return ^(^uint64(0) >> max(n, 0)) }

// gist4 is the whole of two IPv4 addresses.
func gist4(src, dst *packet.Addr) uint64 {
	return uint64(binary.BigEndian.Uint32(src[12:]))<<32 | uint64(binary.BigEndian.Uint32(dst[12:]))
}

// gist6 is bits 32 to 63 of two IPv6 addresses, by which VPCs, of 56 bits, and
// subnets, of 64, differ.
func gist6(src, dst *packet.Addr) uint64 {
	return uint64(binary.BigEndian.Uint32(src[4:]))<<32 | uint64(binary.BigEndian.Uint32(dst[4:]))
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
	var gist uint64
	family := ipv4
	switch h.Version {
	case 4:
		gist = gist4(&h.Src, &h.Dst)
	case 6:
		gist, family = gist6(&h.Src, &h.Dst), ipv6
	default:
		return Verdict{Reject, NoRule}
	}
	if (h.SrcPort == portDNS || h.DstPort == portDNS || h.Transport == 0) && isAmazonDNS(f) {
		return Verdict{p.dns, AmazonDNS}
	}
	if f.Direction != packet.DirectionUnknown {
		return match(p.rules[f.Direction][family], h, gist)
	}
	in := match(p.rules[packet.Ingress][family], h, gist)
	if in.Action == Reject {
		if out := match(p.rules[packet.Egress][family], h, gist); out.Action == Accept {
			return out
		}
	}
	return in
}

// CanAccept reports whether packets of a direction, Ingress or Egress, can be
// accepted, Amazon DNS aside: whether it has a rule that accepts, and none before
// it that rejects all of the family.
func (p *Program) CanAccept(d packet.Direction) bool {
	for _, rules := range p.rules[d] {
		for i := range rules {
			r := &rules[i]
			if r.action == Accept {
				return true
			}
			if r.gistMask|r.kindMask == 0 && r.long == nil {
				break
			}
		}
	}
	return false
}

// match returns the verdict of the first rule that matches.
func match(rules []rule, h *packet.Header, gist uint64) Verdict {
	shows := h.Transport != 0 && (h.Protocol == packet.ProtocolTCP || h.Protocol == packet.ProtocolUDP)
	kind := kindOf(h.Protocol, shows, h.SrcPort, h.DstPort)
	for i := range rules {
		r := &rules[i]
		if (gist^r.gist)&r.gistMask|(kind^r.kind)&r.kindMask == 0 &&
			h.SrcPort-r.from[0] <= r.span[0] && h.DstPort-r.from[1] <= r.span[1] &&
			(r.long == nil || r.long.holds(&h.Src, &h.Dst)) {
			return Verdict{r.action, int(r.index)}
		}
	}
	return Verdict{Reject, NoRule}
}

func (l *long) holds(src, dst *packet.Addr) bool {
	w := words(src, dst)
	return (w[0]^l.value[0])&l.mask[0]|(w[1]^l.value[1])&l.mask[1]|
		(w[2]^l.value[2])&l.mask[2]|(w[3]^l.value[3])&l.mask[3] == 0
}

// portDNS is DNS's port, over UDP and over TCP (RFC 1035, section 4.2).
const portDNS = 53

// isAmazonDNS reports whether an IP packet is one to or from the Amazon DNS
// server: TCP or UDP, port 53 there. So is one whose ports cannot be read, a
// later fragment, since there is nothing else at these addresses.
func isAmazonDNS(f *packet.Frame) bool {
	h := &f.Header
	return (h.Protocol == packet.ProtocolUDP || h.Protocol == packet.ProtocolTCP) &&
		(isResolver(f, &h.Dst, h.DstPort) || isResolver(f, &h.Src, h.SrcPort))
}

func isResolver(f *packet.Frame, a *packet.Addr, port uint16) bool {
	h := &f.Header
	return (port == portDNS || h.Transport == 0) &&
		(h.Version == 4 || !a.Is4()) && // an IPv4 address within IPv6 is not the server's
		f.Session.Workload.IsResolver(a)
}
