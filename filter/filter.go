package filter

import (
	"fmt"
	"iter"
	"net/netip"

	"github.com/periscope-collector/periscope/packet"
)

// MaxRules is how many rules a filter has at most in each direction. AWS allows
// 10 in a filter (Amazon VPC Traffic Mirroring, "Quotas").
const MaxRules = 1000

// An Action is what a rule does with the packets it matches.
type Action uint8

// The actions. The zero value is not one of them.
const (
	Accept Action = 1 + iota
	Reject
)

// String returns "accept" or "reject".
func (a Action) String() string {
	switch a {
	case Accept:
		return "accept"
	case Reject:
		return "reject"
	}
	return "unknown"
}

// Ports are those from From to To, both included. The zero value is every port,
// and no port at all: what AWS leaves out.
type Ports struct{ From, To uint16 }

// All reports whether p is the zero value.
func (p Ports) All() bool { return p == Ports{} }

// String returns "443", "8000-8999", or "" for the zero value.
func (p Ports) String() string {
	switch {
	case p.All():
		return ""
	case p.From == p.To:
		return fmt.Sprint(p.From)
	}
	return fmt.Sprintf("%d-%d", p.From, p.To)
}

// AllProtocols is the Protocol of a rule that names none.
const AllProtocols = -1

// A Rule is a rule of a mirror filter, with the meaning AWS gives it (EC2 API,
// TrafficMirrorFilterRule).
type Rule struct {
	// Number says when the rule's turn is among those of its direction, lowest
	// first. It is at least 1, and unique among them.
	Number int

	Action    Action
	Direction packet.Direction // Ingress or Egress, as the mirrored interface sees it

	// Protocol is an IANA number, or AllProtocols.
	Protocol int

	// Source and Destination are prefixes of one family, which the packet's
	// addresses must be in; 0.0.0.0/0 holds no IPv6 address. Bits beyond the
	// length do not count.
	Source, Destination netip.Prefix

	// SourcePorts and DestinationPorts, unless zero, match only packets of TCP
	// and UDP whose ports can be read: no later fragments.
	SourcePorts, DestinationPorts Ports

	// ID and Description are for people.
	ID, Description string
}

// A Filter is a mirror filter.
type Filter struct {
	// Name is what configuration, and a simulation, know it by.
	Name string

	// Rules are in any order.
	Rules []Rule

	// AmazonDNS says that amazon-dns is among its network services: packets to
	// and from the Amazon DNS server are accepted whatever the rules say.
	// Otherwise they are not, whatever the rules say.
	AmazonDNS bool

	// Description is for people.
	Description string
}

// A fault is what is wrong with one field of a rule.
type fault struct{ field, message string }

func faultf(field, format string, args ...any) *fault {
	return &fault{field, fmt.Sprintf(format, args...)}
}

// faults yields what is wrong with the rules, each with the index of its rule.
func (f *Filter) faults() iter.Seq2[int, *fault] {
	type turn struct {
		direction packet.Direction
		number    int
	}
	return func(yield func(int, *fault) bool) {
		taken := make(map[turn]bool, len(f.Rules))
		var count [packet.NumDirections]int
		for i := range f.Rules {
			r := &f.Rules[i]
			fault, t := r.check(), turn{r.Direction, r.Number}
			if fault == nil {
				count[r.Direction]++
				switch {
				case taken[t]:
					fault = faultf("number", "%d is the number of an %v rule above too; give each its own", r.Number, r.Direction)
				case count[r.Direction] > MaxRules:
					fault = faultf("direction", "%d rules are the most that are %v; remove some", MaxRules, r.Direction)
				}
				taken[t] = true
			}
			if fault != nil && !yield(i, fault) {
				return
			}
		}
	}
}

// check returns the first fault of a rule by itself, or nil.
func (r *Rule) check() *fault {
	switch {
	case r.Number < 1 || r.Number > 1<<31-1:
		return faultf("number", "must be 1 to %d, not %d", 1<<31-1, r.Number)
	case r.Action != Accept && r.Action != Reject:
		return faultf("action", "must be accept or reject")
	case r.Direction != packet.Ingress && r.Direction != packet.Egress:
		return faultf("direction", "must be ingress or egress")
	case r.Protocol < AllProtocols || r.Protocol > 255:
		return faultf("protocol", "must be 0 to 255, not %d", r.Protocol)
	}
	for _, end := range []struct {
		field  string
		prefix netip.Prefix
	}{{"source", r.Source}, {"destination", r.Destination}} {
		switch {
		case !end.prefix.IsValid():
			return faultf(end.field, "must be a prefix such as 10.0.0.0/16, or 0.0.0.0/0 for all of IPv4")
		case end.prefix.Addr().Is4In6():
			return faultf(end.field, "%v is IPv4 in IPv6; write the IPv4 prefix", end.prefix)
		}
	}
	if r.Source.Addr().Is4() != r.Destination.Addr().Is4() {
		return faultf("destination", "%v is of another family than the source %v; a packet has one, so write a rule for each", r.Destination, r.Source)
	}
	for _, end := range []struct {
		field string
		Ports
	}{{"source_ports", r.SourcePorts}, {"destination_ports", r.DestinationPorts}} {
		if end.From > end.To {
			return faultf(end.field, "begins at %d and ends before, at %d; swap them", end.From, end.To)
		}
	}
	return nil
}

// String says which packets the rule is about, such as
// "tcp 0.0.0.0/0 > 10.0.0.0/16 port 443".
func (r *Rule) String() string {
	return protocolName(r.Protocol) + " " + end(r.Source, r.SourcePorts) + " > " + end(r.Destination, r.DestinationPorts)
}

func end(prefix netip.Prefix, ports Ports) string {
	if ports.All() {
		return prefix.String()
	}
	return prefix.String() + " port " + ports.String()
}
