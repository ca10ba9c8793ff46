package traffic

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/periscope-collector/periscope/packet"
)

// A FramesConfig says what [Frames] makes. The zero value is usable.
type FramesConfig struct {
	// Seed varies addresses, ports and the order of sizes.
	Seed uint64

	// Flows is the number of flows, distinct in their 5-tuple (ICMP: in their
	// addresses and identifier); 0 means 100. A flow takes 48 bytes.
	Flows int

	// Size is brought into MinSize to MaxSize unless it is IMIX.
	Size Size

	// Burst is the number of frames of one flow in a row; 0 means 1.
	Burst int
}

// Frames makes frames of many flows between the interface of [Interface] and
// others, TCP, UDP and ICMP echo over IPv4 and IPv6. A flow's frames alternate
// between request and response. Each frame carries its sequence number, counted
// from 0; see [Sequence].
//
// IPv6 needs up to 84 bytes. Where the size asked for is less, all flows are
// IPv4; in IMIX, the short frames of IPv6 flows are as long as they need.
type Frames struct {
	flows  []flow
	filler []byte
	size   Size
	burst  uint64
	rand   *rand.Rand
	next   uint64 // sequence number of the next frame
	buf    []byte // of Next
}

// A flow is a conversation of two ends, 0 the client and 1 the server.
type flow struct {
	addr      [2]packet.Addr
	port      [2]uint16
	interior  uint8     // the end that is the mirrored interface
	turn      uint8     // the end that sends next
	protocol  uint8     // IANA number
	delivered [2]uint32 // TCP sequence numbers, by end
}

const defaultFlows = 100

// kinds of flows, in the order they are made.
var kinds = [...]struct {
	version, protocol uint8
}{
	{4, packet.ProtocolTCP},
	{4, packet.ProtocolUDP},
	{6, packet.ProtocolTCP},
	{4, packet.ProtocolICMP},
	{6, packet.ProtocolUDP},
	{4, packet.ProtocolTCP},
	{6, packet.ProtocolICMPv6},
	{4, packet.ProtocolUDP},
}

// services are the server's ports, for TCP and UDP alike: echo and character
// generator (RFC 862, RFC 864), which promise nothing about the payload.
var services = [...]uint16{7, 19}

// NewFrames returns a generator of the given traffic.
func NewFrames(c FramesConfig) *Frames {
	if c.Flows <= 0 {
		c.Flows = defaultFlows
	}
	if c.Size != IMIX {
		c.Size = min(max(c.Size, MinSize), MaxSize)
	}
	g := &Frames{
		flows:  make([]flow, c.Flows),
		filler: newFiller(c.Size.longest()),
		size:   c.Size,
		burst:  uint64(max(c.Burst, 1)),
		rand:   rand.New(rand.NewPCG(c.Seed, 0)),
	}
	offset := g.rand.Uint32()
	for i := range g.flows {
		g.flows[i] = g.newFlow(i, offset)
	}
	return g
}

// newFlow makes flow i. Its two addresses and its client port differ from those
// of every other flow, as long as there are fewer than 8 million: the port
// repeats every 63<<10 flows, the address every 1<<17 of them.
func (g *Frames) newFlow(i int, offset uint32) flow {
	kind := kinds[i%len(kinds)]
	f := flow{protocol: kind.protocol, interior: uint8(g.rand.Uint32() & 1)}
	_, near4, near6 := Interface()
	peer := (uint32(i)*2654435761 + offset) & 0x1ffff
	f.addr[f.interior], f.addr[1-f.interior] = near6, far6(peer)
	if kind.version == 4 || f.shortest() > g.size.longest() {
		f.addr[f.interior], f.addr[1-f.interior] = near4, far4(peer)
		if f.protocol == packet.ProtocolICMPv6 {
			f.protocol = packet.ProtocolICMP
		}
	}
	f.port = [2]uint16{uint16(1024 + i%(63<<10)), services[g.rand.IntN(len(services))]}
	f.delivered = [2]uint32{g.rand.Uint32(), g.rand.Uint32()}
	return f
}

// shortest returns the length of the shortest frame of f that holds a sequence
// number.
func (f *flow) shortest() int {
	n := packet.EthernetLen + ipv4Len + udpLen + sequenceLen
	if !f.addr[0].Is4() {
		n += ipv6Len - ipv4Len
	}
	if f.protocol == packet.ProtocolTCP {
		n += tcpLen - udpLen
	}
	return n
}

// Next returns the next frame. It is valid until the next call.
func (g *Frames) Next() []byte {
	g.buf = g.Append(g.buf[:0])
	return g.buf
}

// Append appends the next frame to b. It does not allocate when b has room for
// it.
func (g *Frames) Append(b []byte) []byte {
	f := &g.flows[g.next/g.burst%uint64(len(g.flows))]
	b = f.append(b, max(g.nextSize(), f.shortest()), g.next, g.filler)
	g.next++
	return b
}

func (g *Frames) nextSize() int {
	if g.size != IMIX {
		return int(g.size)
	}
	switch n := g.rand.Uint32N(12); {
	case n < 7:
		return 64
	case n < 11:
		return 594
	default:
		return maxIMIX
	}
}

// append appends the flow's next frame.
func (f *flow) append(b []byte, size int, sequence uint64, filler []byte) []byte {
	from, to := f.turn, 1-f.turn
	f.turn = to
	near, _, _ := Interface()
	srcMAC, dstMAC, ttl := near, routerMAC(), uint8(64)
	if from != f.interior {
		srcMAC, dstMAC, ttl = dstMAC, srcMAC, 57
	}
	src, dst := f.addr[from], f.addr[to]
	end := len(b) + size
	if src.Is4() {
		b = appendEthernet(b, dstMAC, srcMAC, etherIPv4)
		ip := ipv4{src: src, dst: dst, ttl: ttl, protocol: f.protocol, id: uint16(sequence), fragment: dontFragment}
		b = ip.append(b, end-len(b)-ipv4Len)
	} else {
		b = appendEthernet(b, dstMAC, srcMAC, etherIPv6)
		b = appendIPv6(b, src, dst, f.protocol, ttl, end-len(b)-ipv6Len)
	}
	start := len(b)
	b = f.appendTransport(b, from, end-start, sequence)
	b = appendSequence(b, sequence)
	b = append(b, filler[:end-len(b)]...)
	seal(b[start:], src, dst, f.protocol)
	return b
}

// appendTransport appends the header of a segment of the given length.
func (f *flow) appendTransport(b []byte, from uint8, length int, sequence uint64) []byte {
	to := 1 - from
	switch f.protocol {
	case packet.ProtocolTCP:
		h := tcp{src: f.port[from], dst: f.port[to], seq: f.delivered[from], ack: f.delivered[to], flags: flagPSH | flagACK}
		f.delivered[from] += uint32(length - tcpLen)
		return h.append(b)
	case packet.ProtocolUDP:
		return appendUDP(b, f.port[from], f.port[to], length-udpLen)
	default:
		// The response repeats the number of the request just before it.
		return appendICMP(b, echo(f.protocol, from), 0, uint32(f.port[0])<<16|uint32(uint16(sequence-uint64(from))))
	}
}

// echo returns the type of an echo request (from the client) or reply.
func echo(protocol, from uint8) uint8 {
	if protocol == packet.ProtocolICMPv6 {
		return 128 + from
	}
	return 8 - 8*from
}

// Interface returns the Ethernet and IP addresses of the mirrored interface
// that all generated frames come from or go to.
func Interface() (mac [6]byte, v4, v6 packet.Addr) {
	return [6]byte{0x0a, 0x50, 0x53, 0, 0, 1},
		packet.AddrFrom4([4]byte{10, 0, 1, 23}),
		packet.Addr{0: 0xfd, 1: 0x50, 7: 1, 15: 0x23}
}

// routerMAC is the other end of the mirrored interface's link.
func routerMAC() mac { return mac{0x0a, 0x50, 0x53, 0, 0, 2} }

// far4 returns address n, 17 bits, of 198.18.0.0/15 (RFC 2544).
func far4(n uint32) packet.Addr {
	return packet.AddrFrom4([4]byte{198, 18 | byte(n>>16), byte(n >> 8), byte(n)})
}

// far6 returns address n of 2001:2::/48 (RFC 5180).
func far6(n uint32) packet.Addr {
	a := packet.Addr{0: 0x20, 1: 0x01, 3: 0x02}
	binary.BigEndian.PutUint32(a[12:], n)
	return a
}

// newFiller returns n bytes of printable characters from 'a' on, in lines of 95
// that each begin one character later (after RFC 864).
func newFiller(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(' ' + ('a'-' '+i+i/95)%95)
	}
	return b
}
