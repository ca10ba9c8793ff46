package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/sink"
	"github.com/periscope-collector/periscope/tunnel"
)

// secret stands for payload, and is in no header.
var secret = bytes.Repeat([]byte("\xa5secret\xa5"), 8)

// shapes are frames with secret, whole and truncated.
func shapes() []traffic.Marked {
	all := traffic.NewMarked(443, func(string) []byte { return secret })
	for _, m := range all {
		if len(m.Frame) >= m.Headers+5 && m.Headers > 0 {
			m.Name += ", truncated"
			m.Frame = m.Frame[:len(m.Frame)-5]
			all = append(all, m)
		}
	}
	return all
}

// shaped returns the frame of a name.
func shaped(name string) []byte {
	for _, m := range shapes() {
		if m.Name == name {
			return m.Frame
		}
	}
	panic(name)
}

func TestCut(t *testing.T) {
	for _, s := range shapes() {
		f := packet.Frame{Data: s.Frame, Length: len(s.Frame)}
		decode.Decode(&f)
		length, truncated := f.Length, f.Truncated()
		behind := len(s.Frame) - s.Headers
		if was := cut(&f); was != (behind > 0) || len(f.Data) != s.Headers || cap(f.Data) > max(s.Headers, len(f.Data)) && was {
			t.Errorf("%s: cut %v, %d bytes of room %d, want %d", s.Name, was, len(f.Data), cap(f.Data), s.Headers)
		}
		if f.Cut != behind || f.Length != length || f.Truncated() != truncated {
			t.Errorf("%s: %d bytes cut, length %d, truncated %v; want %d, %d, %v", s.Name, f.Cut, f.Length, f.Truncated(), behind, length, truncated)
		}
	}
}

// No byte is left that a header does not explain, whatever comes.
func FuzzCut(f *testing.F) {
	for _, s := range shapes() {
		f.Add(s.Frame)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame := packet.Frame{Data: data, Length: len(data)}
		decode.Decode(&frame)
		h := frame.Header
		was := cut(&frame)
		end := len(frame.Data)
		if was != (end < len(data)) || end+frame.Cut != len(data) || end > int(h.Payload) {
			t.Fatalf("cut %v: %d of %d bytes, %d cut, payload at %d", was, end, len(data), frame.Cut, h.Payload)
		}
		again := packet.Frame{Data: frame.Data, Length: len(data)}
		decode.Decode(&again)
		if h.Anomaly == packet.NoAnomaly && (again.Header.Src != h.Src || again.Header.SrcPort != h.SrcPort || again.Header.Transport != h.Transport) {
			t.Fatalf("of %+v is left %+v", h, again.Header)
		}
	})
}

// accept is the filter that accepts the given direction to the given port.
func accept(t testing.TB, direction packet.Direction, port uint16) *filter.Program {
	t.Helper()
	everything := netip.MustParsePrefix("0.0.0.0/0")
	f := filter.Filter{Name: "f", Rules: []filter.Rule{{
		Number: 1, Action: filter.Accept, Direction: direction, Protocol: filter.AllProtocols,
		Source: everything, Destination: everything, DestinationPorts: filter.Ports{From: port, To: port},
	}}}
	p, err := f.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func keepRules(t testing.TB, rules ...filter.KeepRule) *filter.Policy {
	t.Helper()
	p, err := filter.NewPolicy(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A taker is a sink of frames and of records that remembers what it was given.
type taker struct {
	pile
	lengths []string // of bytes, of the frame, and what was cut
	records []packet.Flow
	mu      sync.Mutex
}

func newTaker() *taker {
	k := &taker{}
	k.frames = func(f *packet.Frame) {
		k.lengths = append(k.lengths, fmt.Sprint(len(f.Data), f.Length, f.Cut))
	}
	return k
}

func (k *taker) Flow(_ int, r *packet.Flow) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.records = append(k.records, *r)
}
func (k *taker) Cut(int, packet.Cut)    {}
func (k *taker) Settle(context.Context) {}
func (k *taker) Ledger() sink.Ledger {
	l := k.pile.Ledger()
	k.mu.Lock()
	defer k.mu.Unlock()
	l.Offered += uint64(len(k.records))
	l.Stored += uint64(len(k.records))
	return l
}

// gated runs frames of the sessions web (VNI 1) and db (VNI 2) through rules,
// each with a sink of that name.
func gated(t *testing.T, rules Rules, workers int, sinks []Sink, payloads [][]byte) *Pipeline {
	t.Helper()
	table := session.New(session.Config{Workers: workers, UnknownMax: 2, Log: discard})
	entries, err := session.Parse("sessions", []byte(`sessions:
  - {name: web, vni: 1, addresses: [10.0.0.1], ecs: {service: web, cluster: prod}, labels: {team: shop}}
  - {name: db, vni: 2, addresses: [192.0.2.7]}
`))
	if err != nil {
		t.Fatal(err)
	}
	table.Replace(entries)
	p, err := New(Config{
		Workers: workers, Sessions: table, Sinks: sinks, Rules: rules, Log: discard,
		Flows: FlowConfig{Table: 1000, Interval: time.Minute, Idle: time.Minute},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(t.Context(), newMemorySource(1, payloads)); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func vxlan(vni uint32, frames ...[]byte) (all [][]byte) {
	for _, f := range frames {
		all = append(all, append(tunnel.AppendVXLAN(nil, vni), f...))
	}
	return all
}

var (
	tcpFrame     = shaped("TCP") // 10.0.0.1 to 443
	udpFrame     = shaped("UDP")
	lldpFrame    = shaped("unknown EtherType")
	everySession = filter.Match{VNI: filter.AnyVNI}
)

// TestRules says of each kind of rule what sinks get, and that every account
// holds.
func TestRules(t *testing.T) {
	payloads := slices.Concat(vxlan(1, tcpFrame, udpFrame, lldpFrame), vxlan(2, tcpFrame))
	whole := []string{"118 118 0", "106 106 0", "78 78 0", "118 118 0"}
	web, shop := everySession, everySession
	web.Service = "web"
	shop.LabelKey, shop.LabelValue = "team", "shop"
	for name, row := range map[string]struct {
		rules    Rules
		want     []string // frames
		policy   uint64   // dropped of pile, frames and records
		cut      uint64
		filtered uint64
		records  int // of pile: flows of which it got any packet
	}{
		"none":                   {Rules{}, whole, 0, 0, 0, 3},
		"headers of all":         {Rules{Keep: keepRules(t, filter.KeepRule{Match: everySession, Keep: filter.Headers})}, []string{"54 118 64", "42 106 64", "14 78 64", "54 118 64"}, 0, 4, 0, 3},
		"nothing of all":         {Rules{Keep: keepRules(t, filter.KeepRule{Match: everySession, Keep: filter.None})}, nil, 4, 0, 0, 3},
		"nothing of a service":   {Rules{Keep: keepRules(t, filter.KeepRule{Match: web, Keep: filter.None})}, whole[3:], 3, 0, 0, 3},
		"headers of a label":     {Rules{Keep: keepRules(t, filter.KeepRule{Match: shop, Keep: filter.Headers})}, []string{"54 118 64", "42 106 64", "14 78 64", "118 118 0"}, 0, 3, 0, 3},
		"the first rule":         {Rules{Keep: keepRules(t, filter.KeepRule{Match: web, Keep: filter.Full}, filter.KeepRule{Match: everySession, Keep: filter.None})}, whole[:3], 1, 0, 0, 3},
		"nothing of a port":      {Rules{Keep: keepRules(t, filter.KeepRule{Match: everySession, Ports: filter.Ports{From: 443, To: 443}, Keep: filter.None})}, nil, 4, 0, 0, 3},
		"a filter of a session":  {Rules{Sessions: []SessionRule{{web, accept(t, packet.Egress, 443)}}}, slices.Delete(slices.Clone(whole), 2, 3), 0, 0, 1, 3},
		"of another direction":   {Rules{Sessions: []SessionRule{{web, accept(t, packet.Ingress, 443)}}}, whole[3:], 0, 0, 3, 1},
		"the first filter":       {Rules{Sessions: []SessionRule{{web, accept(t, packet.Egress, 443)}, {everySession, accept(t, packet.Egress, 1)}}}, whole[:2], 0, 0, 2, 2},
		"a filter of a sink":     {Rules{Sinks: map[string]*filter.Program{"pile": accept(t, packet.Egress, 443)}}, whole[:2], 2 + 1, 0, 0, 2},
		"of a sink that is off":  {Rules{Sinks: map[string]*filter.Program{"other": accept(t, packet.Egress, 443)}}, whole, 0, 0, 0, 3},
		"a filter, and headers":  {Rules{Keep: keepRules(t, filter.KeepRule{Match: everySession, Keep: filter.Headers}), Sinks: map[string]*filter.Program{"pile": accept(t, packet.Ingress, 443)}}, []string{"54 118 64"}, 3 + 2, 4, 0, 1},
		"what the filter leaves": {Rules{Sessions: []SessionRule{{web, accept(t, packet.Egress, 443)}}, Keep: keepRules(t, filter.KeepRule{Match: everySession, Keep: filter.None})}, nil, 3, 0, 1, 3},
	} {
		t.Run(name, func(t *testing.T) {
			k := newTaker()
			p := gated(t, row.rules, 1, []Sink{{Name: "pile", Sink: k}}, payloads)
			if !slices.Equal(k.lengths, row.want) {
				t.Errorf("the sink got %q, want %q", k.lengths, row.want)
			}
			l := p.Ledger()
			if !l.Balanced || l.InFlight != 0 {
				t.Errorf("unbalanced: %+v", l)
			}
			s := l.Sinks["pile"]
			if s.Dropped["policy"] != row.policy || s.Offered != s.Stored+row.policy || s.Stored != uint64(len(row.want)+row.records) {
				t.Errorf("account %+v, want %d frames, %d records and %d of policy", s, len(row.want), row.records, row.policy)
			}
			if l.Cut != row.cut || l.NotDelivered["filtered"] != row.filtered || l.Delivered.Packets != 4-row.filtered || l.Truncated != 0 {
				t.Errorf("%d cut, %v not delivered, %d delivered, %d truncated; want %d and %d", l.Cut, l.NotDelivered, l.Delivered.Packets, l.Truncated, row.cut, row.filtered)
			}
			var refused uint64
			for _, s := range l.Sessions {
				refused += s.NotDelivered
				if s.LastSeen == 0 {
					t.Errorf("session %s was not seen", s.Name)
				}
			}
			if refused != row.filtered {
				t.Errorf("sessions have %d frames that were not delivered, want %d", refused, row.filtered)
			}
			// Flows are of all that is delivered, whole.
			var packets, bytes uint64
			for _, r := range k.records {
				packets += r.Side[0].Packets + r.Side[1].Packets
				bytes += r.Side[0].FrameBytes + r.Side[1].FrameBytes
				if r.TruncatedLength != 0 || r.Side[0].Truncated+r.Side[1].Truncated != 0 {
					t.Errorf("a record of truncated packets: %+v", r)
				}
			}
			if all := l.Flows.Packets + l.Flows.NotIP; all != l.Delivered.Packets {
				t.Errorf("flows have %d packets of %d", all, l.Delivered.Packets)
			}
			if row.rules.Sinks["pile"] == nil && bytes+l.Flows.NotIP*78 != l.Delivered.Bytes {
				t.Errorf("flows have %d bytes of %d", bytes, l.Delivered.Bytes)
			}
		})
	}
}

// A record is kept if the filter accepts what either end sent.
func TestFilterOfRecords(t *testing.T) {
	web := &packet.Session{ID: 1}
	flow := packet.Flow{
		Session: web, Protocol: packet.ProtocolTCP,
		Addr: [2]packet.Addr{packet.AddrFrom4([4]byte{10, 0, 0, 1}), packet.AddrFrom4([4]byte{192, 0, 2, 7})},
		Port: [2]uint16{12345, 443},
	}
	flow.Side[0] = packet.FlowSide{Packets: 1, Direction: packet.Egress}
	flow.Side[1] = packet.FlowSide{Packets: 1, Direction: packet.Ingress}
	oneWay := flow
	oneWay.Side[1].Packets = 0
	later := flow
	later.Port = [2]uint16{}
	six := flow
	six.Addr[0], six.Addr[1] = packet.AddrFrom(netip.MustParseAddr("fd00::1")), packet.AddrFrom(netip.MustParseAddr("fd00::2"))
	for name, row := range map[string]struct {
		record  packet.Flow
		program *filter.Program
		want    bool
	}{
		"the initiator's":          {flow, accept(t, packet.Egress, 443), true},
		"the responder's":          {flow, accept(t, packet.Ingress, 12345), true},
		"neither's":                {flow, accept(t, packet.Ingress, 443), false},
		"an end that sent nothing": {oneWay, accept(t, packet.Ingress, 12345), false},
		"ports that are not known": {later, accept(t, packet.Egress, 443), false},
		"another family":           {six, accept(t, packet.Egress, 443), false},
	} {
		if got := acceptsFlow(row.program, &row.record); got != row.want {
			t.Errorf("%s: accepted %v, want %v", name, got, row.want)
		}
	}
}

// What is decided of a session is not another's, nor that of other rules.
func TestDecisions(t *testing.T) {
	one, two := everySession, everySession
	one.VNI, two.VNI = 1, 2
	first, second := accept(t, packet.Egress, 1), accept(t, packet.Egress, 2)
	p := newTestPipeline(t, 2, session.Keep)
	p.SetRules(Rules{Sessions: []SessionRule{{one, first}, {two, second}}, Keep: keepRules(t, filter.KeepRule{Match: two, Keep: filter.None})})
	a := &packet.Session{ID: 5, VNI: 1}
	b := &packet.Session{ID: 5 + maxDecided, VNI: 2} // has the same place
	c := &packet.Session{ID: 6, VNI: 3}
	for round := range 2 {
		g := p.gate.Load()
		for worker := range 2 {
			for _, row := range []struct {
				session *packet.Session
				want    decision
			}{
				{a, decision{5, 0, g.keep, first}}, {b, decision{5 + maxDecided, 1, g.keep, second}},
				{a, decision{5, 0, g.keep, first}}, {c, decision{6, 0, g.keep, nil}},
			} {
				if got := *g.decide(worker, row.session); got != row.want {
					t.Errorf("round %d, worker %d, session %d: %+v, want %+v", round, worker, row.session.ID, got, row.want)
				}
			}
		}
		p.SetRules(Rules{Keep: keepRules(t, filter.KeepRule{Match: one, Keep: filter.None})})
		g = p.gate.Load()
		if got := *g.decide(0, a); got != (decision{5, 1, g.keep, nil}) {
			t.Errorf("after other rules: %+v", got)
		}
		p.SetRules(Rules{Sessions: []SessionRule{{one, first}, {two, second}}, Keep: keepRules(t, filter.KeepRule{Match: two, Keep: filter.None})})
	}
	p.SetRules(Rules{})
	if p.gate.Load() != nil {
		t.Error("there is a gate without rules")
	}
}

// What may yet be learnt to be a service that keeps nothing leaves no payload
// until it is: neither an unknown session, nor one whose task AWS did not say.
func TestDecisionsBeforeIdentity(t *testing.T) {
	shop := everySession
	shop.Service = "shop"
	p := newTestPipeline(t, 1, session.Keep)
	rules := Rules{Keep: keepRules(t, filter.KeepRule{Match: shop, Keep: filter.None}), Learns: true}
	p.SetRules(rules)
	id := uint32(0)
	keep := func(s *packet.Session) filter.Keep {
		id++
		s.ID = id
		d := p.gate.Load().decide(0, s)
		return d.policy.Of(d.keep, &packet.Frame{})
	}
	task := packet.Workload{TaskARN: "arn:aws:ecs:::task/a/b", Service: "shop"}
	other := packet.Workload{TaskARN: "arn:aws:ecs:::task/a/b", Service: "web"}
	for _, row := range []struct {
		session *packet.Session
		want    filter.Keep
	}{
		{&packet.Session{}, filter.Headers},
		{&packet.Session{Known: true, Learned: true}, filter.Headers},
		{&packet.Session{Known: true, Learned: true, Workload: task}, filter.None},
		{&packet.Session{Known: true, Learned: true, Workload: other}, filter.Full},
		{&packet.Session{Known: true, Learned: true, Workload: packet.Workload{InstanceID: "i-1"}}, filter.Full},
		{&packet.Session{Known: true}, filter.Full}, // of the session file
	} {
		if got := keep(row.session); got != row.want {
			t.Errorf("%+v: %v, want %v", row.session.Workload, got, row.want)
		}
	}
	rules.Learns = false
	p.SetRules(rules)
	if got := keep(&packet.Session{}); got != filter.Full {
		t.Errorf("where nothing is learnt: %v, want all", got)
	}
}

// Rules may change at any time; every frame meets one set of them.
func TestRulesChangeUnderTraffic(t *testing.T) {
	web := everySession
	web.VNI = 1
	sets := []Rules{
		{},
		{Keep: keepRules(t, filter.KeepRule{Match: web, Keep: filter.None})},
		{Sessions: []SessionRule{{web, accept(t, packet.Egress, 1)}}},
		{Sinks: map[string]*filter.Program{"pile": accept(t, packet.Egress, 1)}},
		{Keep: keepRules(t, filter.KeepRule{Match: web, Keep: filter.Headers})},
	}
	p := newTestPipeline(t, 1, session.Keep, Sink{Name: "pile", Sink: &pile{}})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			p.SetRules(sets[i%len(sets)])
			if l := p.Ledger(); !l.Balanced {
				t.Errorf("unbalanced: %+v", l)
				return
			}
		}
	}()
	const batches = 2000
	payloads := vxlan(1, tcpFrame, udpFrame, lldpFrame)
	if err := p.Run(t.Context(), newMemorySource(batches, payloads)); err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-done
	l := p.Ledger()
	if s := l.Sinks["pile"]; !l.Balanced || l.Received.Packets != batches*uint64(len(payloads)) || s.Offered != l.Delivered.Packets {
		t.Errorf("%+v", l)
	}
}

// A frame that made a sink panic leaves nothing to the next one in its place.
func TestPanicOnACutFrame(t *testing.T) {
	out := &pile{panicAt: 1}
	lengths := make(map[string]int)
	out.frames = func(f *packet.Frame) { lengths[fmt.Sprint(len(f.Data), f.Length, f.Cut, f.Truncated())]++ }
	p := gated(t, Rules{Keep: keepRules(t, filter.KeepRule{Match: everySession, Keep: filter.Headers})}, 1,
		[]Sink{{Name: "pile", Sink: out}}, vxlan(1, tcpFrame, tcpFrame))
	if err := p.Run(t.Context(), newMemorySource(2, vxlan(1, tcpFrame, tcpFrame))); err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"54 118 64 false": 5}; !maps.Equal(lengths, want) {
		t.Errorf("the sink got %v, want %v", lengths, want)
	}
	if l := p.Ledger(); !l.Balanced || l.NotDelivered["panic"] != 1 || l.Truncated != 0 {
		t.Errorf("%+v", l)
	}
}

func TestTooManySinks(t *testing.T) {
	var sinks []Sink
	for range maxSinks + 1 {
		sinks = append(sinks, Sink{Name: "pile", Sink: &pile{}})
	}
	table := session.New(session.Config{Workers: 1, UnknownMax: 2, Log: discard})
	if _, err := New(Config{Workers: 1, Sessions: table, Sinks: sinks[1:], Log: discard}); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{Workers: 1, Sessions: table, Sinks: sinks, Log: discard}); err == nil {
		t.Error("no error")
	}
}

// Rules cost no allocation.
func TestRulesAllocateNothing(t *testing.T) {
	web := everySession
	web.Service = "web"
	g := func() *Pipeline {
		p := newTestPipeline(t, 1, session.Keep, Sink{Name: "pile", Sink: &pile{}})
		p.SetRules(Rules{
			Sessions: []SessionRule{{web, accept(t, packet.Egress, 443)}},
			Keep:     keepRules(t, filter.KeepRule{Match: web, Keep: filter.Full}, filter.KeepRule{Match: everySession, Keep: filter.Headers}),
			Sinks:    map[string]*filter.Program{"pile": accept(t, packet.Egress, 443)},
		})
		return p
	}()
	s := &packet.Session{ID: 1, Tallies: make([]packet.Tally, 1), Workload: packet.Workload{Service: "web"}}
	f := packet.Frame{Data: tcpFrame, Length: len(tcpFrame), Session: s}
	r := packet.Flow{Session: s, Side: [2]packet.FlowSide{{Packets: 1}}}
	if n := testing.AllocsPerRun(100, func() {
		f.Reason = packet.None
		g.Frame(0, &f)
		g.emit(0, &r)
		acceptsFlow(g.gate.Load().sinks[0], &r)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
