package flow

import (
	"container/heap"
	"math/rand/v2"
)

// A simulation is TCP connections as a mirrored interface shows them. End 0 is
// at the interface, end 1 is 10 ms away behind a network that loses some
// packets; so what end 1 sends may be lost before it shows, and what end 0
// sends after. Senders keep up to 64 segments under way and send again what is
// not acknowledged although what followed was; receivers acknowledge every second segment.
type simulation struct {
	random *rand.Rand
	loss   float64 // of the network
	events events
	seen   []seen // by the mirror
}

type seen struct {
	at int64
	spec
}

// An event is a packet that arrives, or a timer.
type event struct {
	at, order int64
	to        *peer
	packet    *spec // nil for the timer
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

const (
	segment = 1448 // bytes of payload
	oneWay  = 10 * milli
)

// A peer is one end of a connection.
type peer struct {
	sim         *simulation
	other       *peer
	number      int
	template    spec
	isn         uint32
	segments    int // to send
	window      int
	acked, next int           // of its segments
	got         map[int]int64 // when segments of the other end came
	inOrder     int
	unanswered  int
	resent      map[int]int64
	timer       int64
	sent, came  int64 // times of the last packet sent, and received by the other end
	finished    bool  // FIN acknowledged
}

// connect adds a connection that transfers segments both ways.
func (s *simulation) connect(n uint32, at int64, segments [2]int, window int) {
	var ends [2]*peer
	for i := range ends {
		ends[i] = &peer{
			sim: s, number: i, isn: s.random.Uint32(), segments: segments[i], window: window,
			got: make(map[int]int64), resent: make(map[int]int64),
		}
	}
	ends[0].other, ends[1].other = ends[1], ends[0]
	ends[0].template = spec{src: 1<<16 | n, dst: 2, sport: uint16(1024 + n), dport: 443}
	ends[1].template = spec{src: 2, dst: 1<<16 | n, sport: 443, dport: uint16(1024 + n)}
	rtt := 2 * oneWay
	s.show(ends[0], at, spec{flags: flagSYN, seq: ends[0].isn})
	s.show(ends[1], at+rtt, spec{flags: flagSYN | flagACK, seq: ends[1].isn, ack: ends[0].isn + 1})
	s.show(ends[0], at+rtt+100*micro, spec{flags: flagACK, seq: ends[0].isn + 1, ack: ends[1].isn + 1})
	heap.Push(&s.events, event{at: at + rtt + 200*micro, to: ends[0], order: int64(n)})
	heap.Push(&s.events, event{at: at + rtt + 200*micro, to: ends[1], order: int64(n)})
}

// show has the mirror see a packet.
func (s *simulation) show(from *peer, at int64, p spec) {
	t := from.template
	p.src, p.dst, p.sport, p.dport = t.src, t.dst, t.sport, t.dport
	s.seen = append(s.seen, seen{at, p})
}

// run lets the connections come to their ends.
func (s *simulation) run() {
	for order := int64(1 << 32); s.events.Len() > 0; order++ {
		e := heap.Pop(&s.events).(event)
		p := e.to
		if e.packet == nil {
			p.timeout(e.at)
			continue
		}
		if p.number == 0 {
			s.show(p.other, e.at, *e.packet)
		}
		p.receive(e.at, e.packet)
	}
}

// send sends a packet, through the mirror and the network.
func (p *peer) send(at int64, s spec) {
	s.flags |= flagACK
	s.ack = p.other.isn + 1 + uint32(p.inOrder)*segment
	if p.inOrder == p.other.segments && p.other.next > p.other.segments {
		s.ack++ // its FIN
	}
	at = max(at, p.sent+12*micro)
	p.sent = at
	if p.number == 0 {
		p.sim.show(p, at, s)
	}
	if p.sim.random.Float64() < p.sim.loss {
		return
	}
	p.came = max(p.came+1, at+oneWay+p.sim.random.Int64N(50)*micro)
	heap.Push(&p.sim.events, event{at: p.came, order: at, to: p.other, packet: &s})
}

func (p *peer) sendSegment(at int64, n int) {
	if n == p.segments {
		p.send(at, spec{flags: flagFIN, seq: p.isn + 1 + uint32(n)*segment})
		return
	}
	p.send(at, spec{seq: p.isn + 1 + uint32(n)*segment, payload: segment})
}

// fill sends what the window has room for.
func (p *peer) fill(at int64) {
	for ; p.next <= p.segments && p.next-p.acked < p.window; p.next++ {
		p.sendSegment(at, p.next)
	}
	p.timer = at + 200*milli
	heap.Push(&p.sim.events, event{at: p.timer, order: at, to: p})
}

func (p *peer) timeout(at int64) {
	switch {
	case p.finished:
	case p.next == 0:
		p.fill(at)
	case at >= p.timer:
		p.sendSegment(at, p.acked)
		p.fill(at)
	}
}

func (p *peer) receive(at int64, s *spec) {
	// What it carries.
	if s.payload > 0 || s.flags&flagFIN != 0 {
		n := int(s.seq-p.other.isn-1) / segment
		if p.got[n] == 0 {
			p.got[n] = at
		}
		before := p.inOrder
		for p.inOrder < p.other.segments && p.got[p.inOrder] != 0 {
			p.inOrder++
		}
		if p.unanswered++; p.inOrder != before+1 || p.unanswered == 2 || n >= p.other.segments-1 {
			p.unanswered = 0
			p.send(at+50*micro, spec{seq: p.isn + 1 + uint32(min(p.next, p.segments))*segment})
		}
	}
	// What it acknowledges.
	ack := int(s.ack-p.isn-1) / segment
	if s.ack == p.isn+1+uint32(p.segments)*segment+1 {
		p.finished = true
		return
	}
	if ack > p.acked {
		p.acked = ack
		p.fill(at + 60*micro)
	}
	// What is missing before what arrived is sent again, once a round trip.
	for n := p.acked; n < p.next && n < p.segments; n++ {
		known := p.other.got[n+3] // by an acknowledgement under way since
		if p.other.got[n] == 0 && known != 0 && at-known >= oneWay && at-p.resent[n] > 2*oneWay+5*milli {
			p.resent[n] = at
			p.sendSegment(at+70*micro, n)
		}
	}
}

// simulate returns what a mirror shows of so many connections, in order.
func simulate(connections int, loss float64) []seen {
	s := &simulation{random: rand.New(rand.NewPCG(1, 2)), loss: loss}
	for n := range connections {
		window := 2 << (n % 6)
		s.connect(uint32(n), start+int64(n)*7*milli, [2]int{100 + n, 300 - n}, window)
	}
	s.run()
	return s.seen
}
