package flow

import (
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

// What belongs together is one flow, and what does not is not.
func TestWhatIsOneFlow(t *testing.T) {
	icmp := func(src, dst uint32, kind, code uint8) spec {
		return spec{src: src, dst: dst, protocol: packet.ProtocolICMP, icmp: [2]uint8{kind, code}}
	}
	for _, c := range []struct {
		name   string
		frames []spec
		flows  int
	}{
		{"both ways", []spec{udp(1), reply(1)}, 1},
		{"another port", []spec{udp(1), {src: 1001, dst: 2, sport: 1001, dport: 53, protocol: packet.ProtocolUDP}}, 2},
		{"ports the other way round", []spec{udp(1), {src: 1001, dst: 2, sport: 53, dport: 1000, protocol: packet.ProtocolUDP}}, 2},
		{"another protocol", []spec{udp(1), {src: 1001, dst: 2, sport: 1000, dport: 53}}, 2},
		{"to itself", []spec{{src: 1, dst: 1, sport: 5, dport: 5}, {src: 1, dst: 1, sport: 5, dport: 5}}, 1},
		{"to itself, other port", []spec{{src: 1, dst: 1, sport: 5, dport: 6}, {src: 1, dst: 1, sport: 6, dport: 5}}, 1},
		{"protocol without ports", []spec{{src: 1, dst: 2, protocol: 47}, {src: 2, dst: 1, protocol: 47}}, 1},
		{"echo and its reply", []spec{icmp(1, 2, 8, 0), icmp(2, 1, 0, 0)}, 1},
		{"echo both ways", []spec{icmp(1, 2, 8, 0), icmp(2, 1, 8, 0)}, 2},
		{"unreachable", []spec{icmp(1, 2, 3, 1), icmp(1, 2, 3, 1)}, 1},
		{"unreachable, another code", []spec{icmp(1, 2, 3, 1), icmp(1, 2, 3, 3)}, 2},
		{"unreachable, the other way", []spec{icmp(1, 2, 3, 3), icmp(2, 1, 3, 3)}, 2},
		{"type and code change places", []spec{icmp(1, 2, 3, 5), icmp(2, 1, 5, 3)}, 2},
	} {
		for _, seed := range []uint64{1, 2, 3, 4} {
			r, session := record(t, func(config *Config) { config.Seed = seed }), known(1)
			for _, s := range c.frames {
				r.add(session, start, s)
			}
			if got := r.end(); len(got) != c.flows {
				t.Errorf("%s: %d flows, want %d", c.name, len(got), c.flows)
			}
		}
	}
	r := record(t, nil)
	r.add(known(1), start, icmp(1, 2, 3, 7))
	if got := r.end()[0]; got.ICMPType != 3 || got.ICMPCode != 7 || got.Port != [2]uint16{} {
		t.Errorf("type %d, code %d, ports %d", got.ICMPType, got.ICMPCode, got.Port)
	}
}

// Later fragments are counted with their flow, if the first was seen.
func TestFragments(t *testing.T) {
	first := spec{src: 1, dst: 2, sport: 1000, dport: 53, protocol: packet.ProtocolUDP, payload: 16, id: 77, more: true}
	later := spec{src: 1, dst: 2, protocol: packet.ProtocolUDP, payload: 16, id: 77, offset: 24}
	otherID, otherSource := later, later
	otherID.id, otherSource.src = 78, 3
	for _, c := range []struct {
		name       string
		frames     []spec
		gap        int64 // seconds between them
		flows      int
		unresolved uint64
	}{
		{"in order", []spec{first, later}, 0, 1, 0},
		{"after 60 s", []spec{first, later}, 60, 1, 0},
		{"after 61 s", []spec{first, later}, 61, 2, 1},
		{"the later one first", []spec{later, first}, 0, 2, 1},
		{"another packet", []spec{first, otherID}, 0, 2, 1},
		{"another source", []spec{first, otherSource}, 0, 2, 1},
	} {
		r, session := record(t, func(config *Config) { config.Interval = 10 * 60 * 1e9 }), known(1)
		for i, s := range c.frames {
			r.add(session, start+int64(i)*c.gap*second, s)
		}
		got := r.end()
		if n := r.Stats().Unresolved; len(got) != c.flows || n != c.unresolved {
			t.Errorf("%s: %d flows, %d unresolved; want %d, %d", c.name, len(got), n, c.flows, c.unresolved)
		}
		if c.flows == 1 && (got[0].Port != [2]uint16{1000, 53} || got[0].Side[0].Packets != 2) {
			t.Errorf("%s: ports %d, %d packets", c.name, got[0].Port, got[0].Side[0].Packets)
		}
	}
	// A fragment of TCP hides how long its segment is: nothing is lost after it.
	r, session := record(t, nil), known(1)
	for _, s := range after() {
		r.add(session, start, s.spec)
	}
	part := seg(client, flagACK, 100, 500, 16)
	part.more = true
	r.add(session, start+second, part)
	r.add(session, start+second, seg(client, flagACK, 2000, 500, 16))
	r.add(session, start+second, seg(server, flagACK, 500, 2016, 0))
	if got := r.end(); len(got) != 1 || got[0].Side[0].Lost != 0 || got[0].Side[0].Packets != 4 {
		t.Errorf("records %+v", got)
	}
}

func TestNotIP(t *testing.T) {
	r, session := record(t, nil), known(1)
	for _, etherType := range []uint16{0x0806, 0x88cc, 0x0806} {
		f := &packet.Frame{Data: make([]byte, 60), Length: 60, Time: start, Session: session}
		f.Header.EtherType = etherType
		r.Add(0, f)
	}
	r.clock(start)
	s := r.Stats()
	if s.NotIP != 1 || s.Classes[packet.ARP] != (ClassStats{2, 120}) || session.Tallies[0].NotIP.Load() != 3 || s.Packets != 0 {
		t.Errorf("stats %+v, tally %d", s, session.Tallies[0].NotIP.Load())
	}
	// Nor does a frame count whose delivery panicked after it was added.
	f := udp(1).frame(session, start)
	r.Add(0, f)
	*f = packet.Frame{Reason: packet.Panic}
	r.clock(start)
	if got := r.end(); len(got) != 0 || r.Stats().Packets != 0 {
		t.Errorf("%d records", len(got))
	}
}

// What a record says of a side beyond counts.
func TestSides(t *testing.T) {
	r, session := record(t, nil), known(1)
	for i, c := range []struct {
		spec
		direction packet.Direction
	}{
		{seg(client, flagSYN|flagFIN, 1, 0, 0), packet.Egress},
		{seg(client, 0x08|flagACK, 3, 0, 100), packet.Ingress},
		{seg(server, flagSYN|flagACK, 1, 0, 0), packet.Ingress},
	} {
		c.cut = []int{0, 40, 0}[i]
		f := c.frame(session, start+int64(i)*second)
		f.Direction = c.direction
		r.Add(0, f)
		r.clock(f.Time)
	}
	got := r.end()[0]
	a, b := got.Side[0], got.Side[1]
	if a.Direction != packet.Egress || b.Direction != packet.Ingress {
		t.Errorf("directions %v, %v: want those of the first packets", a.Direction, b.Direction)
	}
	if a.TCPFlags != flagSYN|flagFIN|flagACK|0x08 || a.SYNACK || !a.BadFlags || a.Truncated != 1 {
		t.Errorf("side 0: %+v", a)
	}
	if b.TCPFlags != flagSYN|flagACK || !b.SYNACK || b.BadFlags || b.Truncated != 0 {
		t.Errorf("side 1: %+v", b)
	}
	if got.TruncatedLength != 154-40 {
		t.Errorf("%d bytes of the first truncated frame, want %d", got.TruncatedLength, 154-40)
	}
}

// A length that the IP header does not say is that of the frame.
func TestNoIPLength(t *testing.T) {
	r, session := record(t, nil), known(1)
	f := seg(client, flagACK, 1, 1, 1000).frame(session, start)
	f.Header.IPLength = 0
	r.Add(0, f)
	r.clock(start)
	if got := r.end()[0].Side[0]; got.Bytes != 1040 || got.FrameBytes != 1054 || session.Tallies[0].TCPBytes.Load() != 1000 {
		t.Errorf("side %+v, %d bytes of TCP", got, session.Tallies[0].TCPBytes.Load())
	}
}

// A counter that might overflow has the record written, and the flow goes on.
func TestFull(t *testing.T) {
	for name, set := range map[string]func(s *side){
		"packets":      func(s *side) { s.packets = 1<<31 - 1 },
		"extra":        func(s *side) { s.extra = 1<<31 - 14 },
		"lost":         func(s *side) { s.lost = 1 << 31 },
		"retransmits":  func(s *side) { s.retransmits = 1 << 15 },
		"out of order": func(s *side) { s.outOfOrder = 1 << 15 },
	} {
		r, session := record(t, nil), known(1)
		r.add(session, start, udp(1))
		shard := r.shards[0]
		e := &shard.slab[numKinds]
		for i := range e.side {
			if e.side[i].packets != 0 {
				set(&e.side[i])
			}
		}
		r.add(session, start+second, udp(1))
		r.add(session, start+second, udp(1))
		got := reasons(r.end())
		if len(got) != 2 || got[0] != packet.FlowFull || got[1] != packet.FlowShutdown {
			t.Errorf("%s: records %v", name, got)
		}
	}
}
