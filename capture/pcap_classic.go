package capture

// Lengths in a pcap file, in bytes (draft-ietf-opsawg-pcap).
const (
	pcapHeaderLen = 24
	pcapRecordLen = 16
)

// A pcap reads a pcap file.
type pcap struct {
	s     *stream
	order byteOrder
	unit  int64 // nanoseconds
	link  link
}

// openPcap reads the file header:
//
//	 0: magic number      4: major version 2, minor version 4
//	 8: reserved         16: snap length (not a limit: longer records exist)
//	20: 4 bits of FCS length, 2 flags, 26 bits of link type
func openPcap(s *stream, order byteOrder, nano bool) (*pcap, error) {
	h, err := s.peek(pcapHeaderLen)
	if err != nil {
		return nil, err
	}
	if major, minor := order.uint16(h[4:]), order.uint16(h[6:]); major != 2 || minor != 4 {
		return nil, s.damage("pcap version %d.%d: only 2.4 is read", major, minor)
	}
	p := &pcap{s: s, order: order, unit: 1000}
	if nano {
		p.unit = 1
	}
	number := order.uint32(h[20:]) & 0x03ffffff
	if p.link = linkOf(number); p.link == unknownLink {
		return nil, s.damage("link type %d: %s", number, knownLinks)
	}
	s.advance(pcapHeaderLen)
	return p, nil
}

// next reads a packet record:
//
//	0: seconds, unsigned        4: micro- or nanoseconds
//	8: bytes captured          12: bytes on the wire
func (p *pcap) next(rec *record) error {
	p.s.begin()
	h, err := p.s.peek(pcapRecordLen)
	if err != nil {
		return err
	}
	n := p.order.uint32(h[8:])
	if n > maxPacket {
		return p.s.damage("it claims a packet of %d bytes, more than %d", n, maxPacket)
	}
	// The window may move: h is not valid any more.
	b, err := p.s.peek(pcapRecordLen + int(n))
	if err != nil {
		return err
	}
	rec.data = b[pcapRecordLen:]
	rec.length = max(int(p.order.uint32(b[12:])), int(n))
	rec.time = int64(p.order.uint32(b))*1e9 + int64(p.order.uint32(b[4:]))*p.unit
	rec.link = p.link
	p.s.advance(len(b))
	return nil
}
