package traffic

import (
	"math/rand/v2"

	"github.com/periscope-collector/periscope/packet"
)

// A ConversationsConfig says what [Conversations] makes. The zero value is
// usable.
type ConversationsConfig struct {
	// Seed varies addresses, sizes and the order in which flows send.
	Seed uint64

	// Flows is the number of conversations; 0 means 100, and at most 1<<31 are
	// distinct. Each takes 88 bytes.
	Flows int

	// Frames is how many frames there are in all, shared out evenly; 0 means
	// 40 for each flow.
	Frames int

	// Payload is the most that a segment or datagram carries, in bytes, 64 to
	// 1,440; 0 means 536. Each carries 64 or more. What is sent in fragments
	// is three times as long.
	Payload int
}

// Conversations makes the frames of whole conversations between the interface
// of [Interface] and others, over IPv4 and IPv6: TCP from the handshake to FIN
// or RST, with sequence numbers and acknowledgements as they should be and an
// acknowledgement for every second segment; UDP requests and responses, a few
// of them in fragments; ICMP echo; UDP answered by ICMP unreachable. All flows
// are open from the start, and which one sends next is drawn, so that hardly
// ever two frames of a flow are neighbours; but fragments follow each other.
//
// It knows what it has made: see [Conversations.Truth].
type Conversations struct {
	flows   []dialogue
	open    []uint32 // indices of the flows with frames left
	at      int      // in open, the flow that sent last
	within  bool     // it has sent part of a datagram
	rand    *rand.Rand
	filler  []byte
	payload int
	scratch []byte // of a datagram sent in fragments
	buf     []byte // of Next
}

// A dialogue is a flow's state. End 0 is the client, 1 the server.
type dialogue struct {
	addr     [2]packet.Addr
	packets  [2]uint32
	bytes    [2]uint32 // of IP packets
	seq      [2]uint32 // TCP: the next to send
	port     [2]uint16
	left     uint32 // frames to come
	sent     uint32 // frames made
	protocol uint8
	interior uint8  // the end that is the mirrored interface
	kind     kind   // what is said
	fragment uint8  // of the datagram on its way, the next to send
	length   uint16 // of that datagram, with its header; 0 when there is none
}

// A kind is a way to converse.
type kind uint8

const (
	exchange    kind = iota // TCP to FIN, or UDP or ICMP requests and responses
	reset                   // TCP to RST
	fragmented              // UDP, the responses in three fragments
	unreachable             // UDP requests, answered by ICMP errors
)

// mix is what the flows are, in turn: in 16 there are 9 of TCP and 6 of IPv6.
var mix = [...]struct {
	version, protocol uint8
	kind              kind
}{
	{4, packet.ProtocolTCP, exchange},
	{4, packet.ProtocolUDP, exchange},
	{6, packet.ProtocolTCP, exchange},
	{4, packet.ProtocolTCP, exchange},
	{4, packet.ProtocolICMP, exchange},
	{4, packet.ProtocolTCP, reset},
	{6, packet.ProtocolUDP, exchange},
	{4, packet.ProtocolTCP, exchange},
	{4, packet.ProtocolUDP, unreachable},
	{6, packet.ProtocolTCP, reset},
	{4, packet.ProtocolTCP, exchange},
	{6, packet.ProtocolICMPv6, exchange},
	{4, packet.ProtocolTCP, exchange},
	{4, packet.ProtocolUDP, fragmented},
	{6, packet.ProtocolTCP, exchange},
	{6, packet.ProtocolUDP, unreachable},
}

// NewConversations returns a generator of the given traffic.
func NewConversations(c ConversationsConfig) *Conversations {
	if c.Flows <= 0 {
		c.Flows = defaultFlows
	}
	if c.Frames <= 0 {
		c.Frames = 40 * c.Flows
	}
	if c.Payload == 0 {
		c.Payload = 536
	}
	g := &Conversations{
		flows:   make([]dialogue, c.Flows),
		open:    make([]uint32, 0, c.Flows),
		rand:    rand.New(rand.NewPCG(c.Seed, 2)),
		payload: min(max(c.Payload, minPayload), 1440),
	}
	g.filler = newFiller(3 * g.payload)
	offset := g.rand.Uint32()
	for i := range g.flows {
		f := g.newConversation(uint32(i), offset)
		f.left = uint32(c.Frames / c.Flows)
		if i < c.Frames%c.Flows {
			f.left++
		}
		if g.flows[i] = f; f.left > 0 {
			g.open = append(g.open, uint32(i))
		}
	}
	return g
}

const minPayload = 64

// newConversation makes flow i. Its peer's address repeats every 1<<17 flows,
// and the client's port is another each time. Clients' ports are dynamic (RFC
// 6335), so that nothing takes the payload for some protocol.
func (g *Conversations) newConversation(i, offset uint32) dialogue {
	m := &mix[i%uint32(len(mix))]
	f := dialogue{protocol: m.protocol, kind: m.kind, interior: uint8(g.rand.Uint32() & 1)}
	_, near, near6 := Interface()
	peer := (i*2654435761 + offset) & 0x1ffff
	far := far4(peer)
	if m.version == 6 {
		near, far = near6, far6(peer)
	}
	f.addr[f.interior], f.addr[1-f.interior] = near, far
	f.port = [2]uint16{49152 + uint16((i+i>>17)&0x3fff), services[g.rand.IntN(len(services))]}
	f.seq = [2]uint32{g.rand.Uint32(), g.rand.Uint32()}
	return f
}

// Next returns the next frame, or nil when there are no more. It is valid until
// the next call.
func (g *Conversations) Next() []byte {
	if len(g.open) == 0 {
		return nil
	}
	g.buf = g.Append(g.buf[:0])
	return g.buf
}

// Append appends the next frame to b, or nothing when there are no more. It
// does not allocate when b has room for it.
func (g *Conversations) Append(b []byte) []byte {
	if len(g.open) == 0 {
		return b
	}
	if !g.within {
		g.at = g.rand.IntN(len(g.open))
	}
	f := &g.flows[g.open[g.at]]
	switch {
	case f.protocol == packet.ProtocolTCP:
		b = g.appendSegment(b, f)
	case f.kind == fragmented:
		b = g.appendFragment(b, f)
	default:
		b = g.appendDatagram(b, f)
	}
	g.within = f.length != 0
	f.sent++
	if f.left--; f.left == 0 {
		last := len(g.open) - 1
		g.open[g.at] = g.open[last]
		g.open = g.open[:last]
	}
	return b
}

// size draws the length of a payload.
func (g *Conversations) size() int {
	return minPayload + g.rand.IntN(g.payload-minPayload+1)
}

// A Conversation is what two ends have said to each other.
type Conversation struct {
	Protocol uint8 // IANA number
	Addr     [2]packet.Addr
	Port     [2]uint16 // 0 for ICMP

	// Packets and Bytes are what each end has sent. Bytes are those of IP
	// packets; a frame has 14 more.
	Packets, Bytes [2]uint64
}

// Truth calls yield with every conversation of which a frame was made. Two of
// ICMP between the same addresses are two; ICMP errors are one of their own,
// with one side.
func (g *Conversations) Truth(yield func(Conversation) bool) {
	for i := range g.flows {
		f := &g.flows[i]
		c := Conversation{Protocol: f.protocol, Addr: f.addr}
		for end := range c.Packets {
			c.Packets[end], c.Bytes[end] = uint64(f.packets[end]), uint64(f.bytes[end])
		}
		if f.protocol == packet.ProtocolTCP || f.protocol == packet.ProtocolUDP {
			c.Port = f.port
		}
		errors := c
		if f.kind == unreachable {
			c.Packets[1], c.Bytes[1] = 0, 0
			errors.Packets[0], errors.Bytes[0] = 0, 0
			errors.Protocol, errors.Port = f.icmp(), [2]uint16{}
		} else {
			errors.Packets = [2]uint64{}
		}
		for _, c := range [...]Conversation{c, errors} {
			if c.Packets != [2]uint64{} && !yield(c) {
				return
			}
		}
	}
}

// icmp returns the number of the ICMP that goes with f's addresses.
func (f *dialogue) icmp() uint8 {
	if f.addr[0].Is4() {
		return packet.ProtocolICMP
	}
	return packet.ProtocolICMPv6
}
