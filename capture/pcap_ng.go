package capture

// Block types of pcapng (draft-ietf-opsawg-pcapng, section 11.1). Others are
// skipped.
const (
	sectionBlock   = magicNG
	interfaceBlock = 1
	packetBlock    = 2 // obsolete; laid out as the enhanced one, but for the first word
	simpleBlock    = 3
	enhancedBlock  = 6
)

// minBlockLen returns the length in bytes of the shortest block of a type that
// has to be understood, and 0 for one that is skipped.
func minBlockLen(kind uint32) uint32 {
	switch kind {
	case sectionBlock:
		return 28
	case interfaceBlock:
		return 20
	case simpleBlock:
		return 16
	case packetBlock, enhancedBlock:
		return 32
	}
	return 0
}

// maxInterfaces bounds the interfaces of a section: 65,536 of 32 bytes are
// 2 MiB.
const maxInterfaces = 1 << 16

// A pcapng reads a pcapng file.
type pcapng struct {
	s          *stream
	order      byteOrder
	interfaces []netInterface // of the section
	time       int64          // of the last packet
}

// A netInterface is what an interface description block says of its packets.
type netInterface struct {
	link    link
	snaplen uint32 // bytes; 0 means no limit
	clock   clock
}

// next reads blocks up to the next one with a packet.
func (p *pcapng) next(rec *record) error {
	for {
		kind, block, err := p.block()
		if err != nil {
			return err
		}
		switch kind {
		case sectionBlock:
			err = p.section(block)
		case interfaceBlock:
			err = p.netInterface(block)
		default:
			return p.packet(kind, block, rec)
		}
		if err != nil {
			return err
		}
	}
}

// block returns type and bytes of the next block that has to be understood, and
// skips those before it. Every block is
//
//	0: type   4: length of the whole block   8: body   length-4: length again
func (p *pcapng) block() (uint32, []byte, error) {
	for {
		p.s.begin()
		kind, n, err := p.header()
		if err != nil {
			return 0, nil, err
		}
		least := minBlockLen(kind)
		if least == 0 {
			if err := p.skip(n); err != nil {
				return 0, nil, err
			}
			continue
		}
		if n < least || n > windowLen {
			return 0, nil, p.s.damage("it claims %d bytes for a block of type %#x: at least %d, at most %d", n, kind, least, windowLen)
		}
		block, err := p.s.peek(int(n))
		if err != nil {
			return 0, nil, err
		}
		p.s.advance(int(n)) // the block stays in the window until the next peek
		return kind, block, p.trailer(block, n)
	}
}

// header looks at the header of the next block. That of a section sets the
// byte order of everything up to the next one.
func (p *pcapng) header() (kind, n uint32, err error) {
	h, err := p.s.peek(8)
	if err != nil {
		return 0, 0, err
	}
	if kind = p.order.uint32(h); kind == sectionBlock {
		if h, err = p.s.peek(12); err != nil {
			return 0, 0, err
		}
		switch magic := h[8:12]; {
		case byteOrder(false).uint32(magic) == magicOrder:
			p.order = false
		case byteOrder(true).uint32(magic) == magicOrder:
			p.order = true
		default:
			return 0, 0, p.s.damage("byte-order magic %x of a section", magic)
		}
	}
	if n = p.order.uint32(h[4:]); n < 12 || n%4 != 0 {
		return 0, 0, p.s.damage("it claims a block of %d bytes: at least 12, and a multiple of 4", n)
	}
	return kind, n, nil
}

// skip consumes a block of n bytes.
func (p *pcapng) skip(n uint32) error {
	if err := p.s.skip(int64(n) - 4); err != nil {
		return err
	}
	b, err := p.s.peek(4)
	if err != nil {
		return err
	}
	if err := p.trailer(b, n); err != nil {
		return err
	}
	p.s.advance(4)
	return nil
}

// trailer checks the length that ends b, the end of a block.
func (p *pcapng) trailer(b []byte, n uint32) error {
	if again := p.order.uint32(b[len(b)-4:]); again != n {
		return p.s.damage("it claims a block of %d bytes at its beginning, of %d at its end", n, again)
	}
	return nil
}

// section reads a section header, at 12 of which is the version. Interfaces
// are numbered anew.
func (p *pcapng) section(b []byte) error {
	if major := p.order.uint16(b[12:]); major != 1 {
		return p.s.damage("pcapng version %d.%d: only 1 is read", major, p.order.uint16(b[14:]))
	}
	p.interfaces = p.interfaces[:0]
	return nil
}

// netInterface reads an interface description: link type at 8, snap length at
// 12, options from 16.
func (p *pcapng) netInterface(b []byte) error {
	if len(p.interfaces) == maxInterfaces {
		return p.s.damage("more than %d interfaces in a section", maxInterfaces)
	}
	i := netInterface{link: linkOf(uint32(p.order.uint16(b[8:]))), snaplen: p.order.uint32(b[12:])}
	var err error
	if i.clock, err = readClock(p.order, b[16:len(b)-4]); err != nil {
		return p.s.damage("interface %d: %w", len(p.interfaces), err)
	}
	p.interfaces = append(p.interfaces, i)
	return nil
}

// packet reads a block with a packet in it. Enhanced: interface at 8, time at
// 12 (high word) and 16, bytes captured at 20, on the wire at 24, data from 28.
// Simple: bytes on the wire at 8, data from 12; it is of interface 0 and has no
// time, so it gets that of the packet before.
func (p *pcapng) packet(kind uint32, b []byte, rec *record) error {
	var id, captured, wire uint32
	data := b[12 : len(b)-4]
	switch kind {
	case simpleBlock:
		wire = p.order.uint32(b[8:])
		captured = min(wire, uint32(len(data)))
	case packetBlock:
		id = uint32(p.order.uint16(b[8:]))
	default:
		id = p.order.uint32(b[8:])
	}
	if id >= uint32(len(p.interfaces)) {
		return p.s.damage("a packet of interface %d, which the section does not describe", id)
	}
	from := &p.interfaces[id]
	if kind == simpleBlock {
		if from.snaplen > 0 {
			captured = min(captured, from.snaplen)
		}
	} else {
		captured, wire = p.order.uint32(b[20:]), p.order.uint32(b[24:])
		p.time = from.clock.time(uint64(p.order.uint32(b[12:]))<<32 | uint64(p.order.uint32(b[16:])))
		data = b[28 : len(b)-4]
	}
	if captured > maxPacket || captured > uint32(len(data)) {
		return p.s.damage("it claims a packet of %d bytes: the block has room for %d, and more than %d are not read", captured, len(data), maxPacket)
	}
	rec.data = data[:captured]
	rec.length = int(max(wire, captured))
	rec.time = p.time
	rec.link = from.link
	return nil
}
