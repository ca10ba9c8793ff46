package session

import (
	"slices"
	"sort"

	"github.com/periscope-collector/periscope/packet"
)

// Tenures are the sessions that held one identity. A frame is found in
// logarithmic time, however many there are and however they overlap.
type tenures struct {
	all   timeline
	open  timeline             // those that take frames of any interface
	byMAC map[[6]byte]timeline // the others
}

// newTenures takes members of one identity by their beginning; of those that
// hold a frame the last one has it.
func newTenures(members []*member) *tenures {
	t := &tenures{all: newTimeline(members, nil), byMAC: make(map[[6]byte]timeline)}
	var open []int
	ranks := make(map[[6]byte][]int)
	for i, m := range members {
		if m.session.ByMAC {
			ranks[m.session.MAC] = append(ranks[m.session.MAC], i)
		} else {
			open = append(open, i)
		}
	}
	if open != nil {
		t.open = newTimeline(members, open)
	}
	for mac, r := range ranks {
		t.byMAC[mac] = newTimeline(members, r)
	}
	return t
}

// find returns the session that held the identity when the frame came, or nil.
func (t *tenures) find(f *packet.Frame) *packet.Session {
	if !tells(f) {
		return t.all.at(f.Time).session
	}
	return t.ofInterface(f)
}

// ofInterface returns the session that held the identity when the frame came, or
// nil; that of an interface only if the frame has its MAC address. The frame has an
// Ethernet header.
func (t *tenures) ofInterface(f *packet.Frame) *packet.Session {
	best := t.open.at(f.Time)
	for _, mac := range [...][6]byte{[6]byte(f.Data), [6]byte(f.Data[6:])} {
		if s := t.byMAC[mac].at(f.Time); s.session != nil && (best.session == nil || s.rank > best.rank) {
			best = s
		}
	}
	return best.session
}

// A timeline says who held something, in spans of which each lasts until the
// next begins.
type timeline []span

type span struct {
	from    int64           // ns since 1970 UTC
	session *packet.Session // nil if nobody did
	rank    int             // among all tenures
}

// newTimeline returns the spans of the members with the given ranks, or of all.
func newTimeline(members []*member, ranks []int) timeline {
	if ranks == nil {
		ranks = make([]int, len(members))
		for i := range ranks {
			ranks[i] = i
		}
	}
	times := make([]int64, 0, 2*len(ranks))
	for _, r := range ranks {
		times = append(times, members[r].entry.From)
		if until := members[r].entry.Until; until != 0 {
			times = append(times, until)
		}
	}
	slices.Sort(times)
	var line timeline
	var stack []int // of those that began, the last on top; the ended go when they are there
	for _, now := range slices.Compact(times) {
		for len(ranks) > 0 && members[ranks[0]].entry.From <= now {
			stack, ranks = append(stack, ranks[0]), ranks[1:]
		}
		for len(stack) > 0 && members[stack[len(stack)-1]].entry.end() <= now {
			stack = stack[:len(stack)-1]
		}
		s := span{from: now}
		if len(stack) > 0 {
			s.rank = stack[len(stack)-1]
			s.session = members[s.rank].session
		}
		if len(line) == 0 || line[len(line)-1].session != s.session {
			line = append(line, s)
		}
	}
	return line
}

// at returns the span at a time; its session is nil if there is none.
func (l timeline) at(time int64) span {
	after := sort.Search(len(l), func(i int) bool { return l[i].from > time })
	if after == 0 {
		return span{}
	}
	return l[after-1]
}
