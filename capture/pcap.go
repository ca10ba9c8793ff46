package capture

import (
	"encoding/binary"
	"io"
	"math/bits"
)

// A record is a packet as a capture file holds it.
type record struct {
	data   []byte // as far as it was captured, at most maxPacket; aliases the stream's window, to whose end its capacity reaches
	length int    // on the wire, in bytes; at least len(data)
	time   int64  // nanoseconds since 1970 UTC, 0 to maxTime
	link   link
}

// maxTime bounds what a file says of time, in nanoseconds since 1970 UTC. It is
// past what a pcap file can say (2106), and leaves room for arithmetic.
const maxTime = 1<<62 - 1

// A format reads the records of a file. An error other than io.EOF ends the
// file and names the offset.
type format interface {
	next(*record) error
}

// Magic numbers, as the first four bytes in little-endian order.
const (
	magicMicro = 0xa1b2c3d4 // pcap, microseconds
	magicNano  = 0xa1b23c4d // pcap, nanoseconds
	magicNG    = 0x0a0d0d0a // pcapng, a palindrome
	magicOrder = 0x1a2b3c4d // pcapng, in the section header
)

// openFormat recognises the file by its first bytes.
func openFormat(s *stream) (format, error) {
	s.begin()
	b, err := s.peek(4)
	switch {
	case err == io.EOF:
		return nil, s.damage("no capture file header: there is nothing in it")
	case err != nil:
		return nil, err
	}
	magic := binary.LittleEndian.Uint32(b)
	switch swapped := bits.ReverseBytes32(magic); {
	case magic == magicNG:
		return &pcapng{s: s}, nil
	case magic == magicMicro, magic == magicNano:
		return openPcap(s, false, magic == magicNano)
	case swapped == magicMicro, swapped == magicNano:
		return openPcap(s, true, swapped == magicNano)
	}
	return nil, s.damage("no capture file header: it begins with %x", b)
}

// A byteOrder reads the numbers of a file; true means big-endian.
type byteOrder bool

func (o byteOrder) uint16(b []byte) uint16 {
	v := binary.LittleEndian.Uint16(b)
	if o {
		v = bits.ReverseBytes16(v)
	}
	return v
}

func (o byteOrder) uint32(b []byte) uint32 {
	v := binary.LittleEndian.Uint32(b)
	if o {
		v = bits.ReverseBytes32(v)
	}
	return v
}

func (o byteOrder) uint64(b []byte) uint64 {
	v := binary.LittleEndian.Uint64(b)
	if o {
		v = bits.ReverseBytes64(v)
	}
	return v
}
