package report

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/periscope-collector/periscope/packet"
)

// A class is the sums of one class. The zero value is empty.
type class struct {
	sum
	sessions map[*packet.Session]struct{}
	pairs    map[pair]sum

	// folded says that there were more than maxPairs, and that the smaller ones
	// were forgotten: what is left of each is a lower bound.
	folded bool
}

type sum struct{ records, packets, bytes uint64 }

func (s *sum) add(o sum) {
	s.records += o.records
	s.packets += o.packets
	s.bytes += o.bytes
}

// A pair is two addresses that talked, as a session saw them: the mirrored
// interface's first, or, where the direction is not known, the lower one.
type pair struct {
	session *packet.Session
	addr    [2]packet.Addr
}

// maxPairs is how many pairs a class has at most. Beyond it the larger half is
// kept, so that who talks most is found in a scan of any size.
const maxPairs = 8192

func (c *class) add(f *packet.Flow) {
	if c.pairs == nil {
		c.pairs, c.sessions = make(map[pair]sum), make(map[*packet.Session]struct{})
	}
	one := sum{
		records: 1,
		packets: f.Side[0].Packets + f.Side[1].Packets,
		bytes:   f.Side[0].Bytes + f.Side[1].Bytes,
	}
	c.sum.add(one)
	c.sessions[f.Session] = struct{}{}

	p := pairOf(f)
	of, known := c.pairs[p]
	if !known && len(c.pairs) == maxPairs {
		c.folded = true
		for _, small := range c.talkers()[maxPairs/2:] {
			delete(c.pairs, small.pair)
		}
	}
	of.add(one)
	c.pairs[p] = of
}

func pairOf(f *packet.Flow) pair {
	p := pair{f.Session, f.Addr}
	swap := bytes.Compare(f.Addr[0][:], f.Addr[1][:]) > 0
	switch first, second := f.Side[0].Direction, f.Side[1].Direction; {
	case first == packet.Egress || second == packet.Ingress:
		swap = false
	case first == packet.Ingress || second == packet.Egress:
		swap = true
	}
	if swap {
		p.addr[0], p.addr[1] = p.addr[1], p.addr[0]
	}
	return p
}

// A talker is a pair and what it said.
type talker struct {
	pair
	sum
}

// talkers returns the pairs, those with the most bytes first, in an order that
// the records alone decide.
func (c *class) talkers() []talker {
	list := make([]talker, 0, len(c.pairs))
	for p, s := range c.pairs {
		list = append(list, talker{p, s})
	}
	slices.SortFunc(list, func(a, b talker) int {
		return cmp.Or(
			cmp.Compare(b.bytes, a.bytes),
			cmp.Compare(b.packets, a.packets),
			strings.Compare(a.session.Name, b.session.Name),
			bytes.Compare(a.addr[0][:], b.addr[0][:]),
			bytes.Compare(a.addr[1][:], b.addr[1][:]),
			cmp.Compare(a.session.ID, b.session.ID),
		)
	})
	return list
}
