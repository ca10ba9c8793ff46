package traffic

import (
	"math/rand/v2"

	"github.com/periscope-collector/periscope/packet"
)

// Stacks makes frames for tests of decoders. It cycles through every
// combination of link, network and transport headers that decode reads, with
// varied fields and lengths, up to MaxSize. A packet in fragments comes as three
// frames in a row: first, middle, last.
type Stacks struct {
	rand    *rand.Rand
	filler  []byte
	stacks  []stack
	next    int    // index into stacks of the next packet
	flags   uint8  // of the next TCP segment
	buf     []byte // of Next
	current stack
	out     outgoing
}

// A stack is a combination of headers.
type stack struct {
	link      link
	network   network
	transport transport
}

// outgoing is the packet that frames are being made of.
type outgoing struct {
	srcMAC, dstMAC mac
	src, dst       packet.Addr
	id             uint32 // IP identification
	segment        []byte // transport header and payload, or ARP message
	sent           int    // bytes of segment that went into earlier fragments
	fragment       int    // length of a fragment, a multiple of 8, or of segment
}

type link struct {
	name string
	tags []uint16 // EtherTypes of the VLAN tags
}

var links = [...]link{
	{"untagged", nil},
	{"802.1q", []uint16{etherVLAN}},
	{"qinq", []uint16{etherQinQ, etherVLAN}},
	{"double", []uint16{etherVLAN, etherVLAN}},
	{"9100", []uint16{etherOldTag}},
	{"9100+802.1q", []uint16{etherOldTag, etherVLAN}},
}

type network struct {
	name    string
	version uint8   // 0 is ARP
	options bool    // IPv4 options
	chain   []uint8 // IPv6 extension headers
	split   bool    // in fragments
}

var networks = [...]network{
	{name: "arp"},
	{name: "ipv4", version: 4},
	{name: "ipv4+options", version: 4, options: true},
	{name: "ipv4+fragments", version: 4, split: true},
	{name: "ipv6", version: 6},
	{name: "ipv6+hop", version: 6, chain: []uint8{extHopByHop}},
	{name: "ipv6+routing", version: 6, chain: []uint8{extRouting}},
	{name: "ipv6+destination", version: 6, chain: []uint8{extDestination}},
	{name: "ipv6+atomic", version: 6, chain: []uint8{extFragment}}, // RFC 6946
	{name: "ipv6+ah", version: 6, chain: []uint8{extAH}},
	{name: "ipv6+hop+routing", version: 6, chain: []uint8{extHopByHop, extRouting}},
	{name: "ipv6+all", version: 6, chain: []uint8{extHopByHop, extDestination, extRouting, extFragment, extAH, extDestination}},
	{name: "ipv6+fragments", version: 6, chain: []uint8{extFragment}, split: true},
	{name: "ipv6+hop+fragments", version: 6, chain: []uint8{extHopByHop, extDestination, extFragment}, split: true},
}

// NewStacks returns a generator whose fields and lengths vary with seed.
func NewStacks(seed uint64) *Stacks {
	g := &Stacks{rand: rand.New(rand.NewPCG(seed, 1)), filler: newFiller(int(MaxSize))}
	for _, n := range networks {
		for _, t := range transports {
			if !t.fits(n) {
				continue
			}
			for _, l := range links {
				g.stacks = append(g.stacks, stack{l, n, t})
			}
		}
	}
	return g
}

// Cycle returns the number of frames after which every stack has come once, and
// begins anew.
func (g *Stacks) Cycle() int {
	n := 0
	for _, s := range g.stacks {
		n++
		if s.network.split {
			n += 2
		}
	}
	return n
}

// Name returns the stack of the last frame, such as "qinq/ipv6+hop/tcp".
func (g *Stacks) Name() string {
	s := &g.current
	return s.link.name + "/" + s.network.name + "/" + s.transport.name
}

// Next returns the next frame. It is valid until the next call.
func (g *Stacks) Next() []byte {
	g.buf = g.Append(g.buf[:0])
	return g.buf
}

// Append appends the next frame to b. It does not allocate when b has room for
// it, once the longest packet was made.
func (g *Stacks) Append(b []byte) []byte {
	if g.out.sent == len(g.out.segment) {
		g.begin()
	}
	start := len(b)
	b = g.appendLink(b)
	b = g.appendNetwork(b)
	// IEEE 802.3 pads short frames, but a virtual interface need not.
	if short := 60 - (len(b) - start); short > 0 && g.rand.Uint32()&1 == 0 {
		b = append(b, make([]byte, short)...)
	}
	return b
}

// begin makes the packet of the next stack.
func (g *Stacks) begin() {
	g.current = g.stacks[g.next]
	g.next = (g.next + 1) % len(g.stacks)
	n, o := &g.current.network, &g.out

	near, near4, near6 := Interface()
	o.srcMAC, o.dstMAC = near, routerMAC()
	o.src, o.dst = near4, far4(g.rand.Uint32N(1<<17))
	if n.version == 6 {
		o.src, o.dst = near6, far6(g.rand.Uint32N(1<<17))
	}
	if g.rand.Uint32()&1 == 0 {
		o.srcMAC, o.dstMAC, o.src, o.dst = o.dstMAC, o.srcMAC, o.dst, o.src
	}
	o.id, o.sent = g.rand.Uint32(), 0
	o.segment = g.current.transport.append(g, o.segment[:0], g.room())
	o.fragment = len(o.segment)
	if n.split {
		o.fragment = (len(o.segment) + 23) / 24 * 8
	}
}

// room returns the length aimed at for the transport header and its payload.
func (g *Stacks) room() int {
	s := &g.current
	if s.network.split {
		return 256 + g.rand.IntN(4000)
	}
	switch g.rand.Uint32N(16) {
	case 0:
		return int(MaxSize) - packet.EthernetLen - 4*len(s.link.tags) - s.network.length()
	case 1, 2, 3:
		return g.rand.IntN(1400)
	default:
		return g.rand.IntN(100)
	}
}

// length returns the length of the longest headers of n.
func (n *network) length() int {
	switch {
	case n.version == 4 && n.options:
		return ipv4Len + 40
	case n.version == 4:
		return ipv4Len
	}
	length := ipv6Len
	for _, kind := range n.chain {
		length += extLen(kind)
	}
	return length
}

func (g *Stacks) appendLink(b []byte) []byte {
	etherType := uint16(etherARP)
	switch g.current.network.version {
	case 4:
		etherType = etherIPv4
	case 6:
		etherType = etherIPv6
	}
	b = append(append(b, g.out.dstMAC[:]...), g.out.srcMAC[:]...)
	for _, tag := range g.current.link.tags {
		// Priority and identifier, but for the reserved 0xfff.
		b = appendPorts(b, tag, uint16(g.rand.Uint32N(8)<<13|g.rand.Uint32N(0xfff)))
	}
	return append(b, byte(etherType>>8), byte(etherType))
}

// appendNetwork appends the IP headers and the next part of the packet.
func (g *Stacks) appendNetwork(b []byte) []byte {
	n, o := &g.current.network, &g.out
	offset := o.sent
	part := o.segment[offset:min(offset+o.fragment, len(o.segment))]
	o.sent += len(part)
	more := o.sent < len(o.segment)
	protocol := g.current.transport.protocol
	switch n.version {
	case 4:
		h := ipv4{src: o.src, dst: o.dst, tos: uint8(g.rand.Uint32()), ttl: 1 + uint8(g.rand.Uint32N(255)),
			protocol: protocol, id: uint16(o.id)}
		switch {
		case more:
			h.fragment = moreFragments | uint16(offset/8)
		case n.split:
			h.fragment = uint16(offset / 8)
		default:
			h.fragment = dontFragment
		}
		if n.options {
			h.options = ipv4Options[g.rand.IntN(len(ipv4Options))]
		}
		b = h.append(b, len(part))
	case 6:
		first := protocol
		if len(n.chain) > 0 {
			first = n.chain[0]
		}
		start := len(b)
		b = appendIPv6(b, o.src, o.dst, first, g.current.transport.hopLimit(), n.length()-ipv6Len+len(part))
		b[start+1], b[start+2], b[start+3] = uint8(g.rand.Uint32()), uint8(g.rand.Uint32()), uint8(g.rand.Uint32())
		f := fragment{id: o.id, offset: uint16(offset), more: more}
		b = appendExtensions(b, n.chain, protocol, f, o.dst)
	}
	return append(b, part...)
}
