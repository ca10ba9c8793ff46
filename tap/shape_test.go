package tap

import (
	"encoding/binary"
	"fmt"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
)

// A shape is a super to be made.
type shape struct {
	v6       bool
	udp      bool
	options  int // bytes of TCP options, or of an extension header of IPv6
	ext      bool
	size     int
	payload  int
	flags    byte // of TCP
	trailing int  // bytes behind the IP packet
}

// make returns the frame as the kernel shows it: one checksum is not there yet.
func (s shape) make() ([]byte, offload) {
	l4 := make([]byte, tcpLen+s.options)
	o := offload{flags: needsChecksum, kind: tcp4, size: uint16(s.size), sumOffset: sumTCP}
	protocol := byte(packet.ProtocolTCP)
	if s.udp {
		l4, protocol, o.kind, o.sumOffset = make([]byte, udpLen), packet.ProtocolUDP, udpGSO, sumUDP
	} else {
		l4[12], l4[13] = byte(len(l4)/4<<4), s.flags
		binary.BigEndian.PutUint32(l4[4:], 0xfffffff0) // it wraps
		for i := tcpLen; i < len(l4); i++ {
			l4[i] = 1 // no operation
		}
	}
	binary.BigEndian.PutUint16(l4, 40000)
	binary.BigEndian.PutUint16(l4[2:], 443)
	l4[o.sumOffset] = 0x12 // the pseudo header's, which is not relied on
	payload := random(s.payload, 7)
	frame := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}
	if s.v6 {
		frame = append(frame, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, protocol, 64)
		frame = append(append(frame, taskAddr6.AsSlice()...), peerAddr6.AsSlice()...)
		if s.ext {
			frame[20] = hopByHop
			frame = append(frame, protocol, 0, 1, 4, 0, 0, 0, 0)
		}
		if !s.udp {
			o.kind = tcp6
		}
	} else {
		frame = append(frame, 8, 0, 0x45, 0, 0, 0, 0xff, 0xfe, 0x40, 0, 64, protocol, 0xab, 0xcd)
		frame = append(append(frame, taskAddr.AsSlice()...), peerAddr.AsSlice()...)
	}
	o.sumStart = uint16(len(frame))
	frame = append(append(frame, l4...), payload...)
	if s.v6 {
		binary.BigEndian.PutUint16(frame[18:], uint16(len(frame)-54))
	} else {
		binary.BigEndian.PutUint16(frame[16:], uint16(len(frame)-14))
	}
	return append(frame, make([]byte, s.trailing)...), o
}

// whole returns the segments as frames.
func (s *super) whole() (frames [][]byte) {
	for i := range s.segments() {
		frames = append(frames, append(s.appendHeader(nil, i), s.part(i)...))
	}
	return frames
}

// sound says what is wrong with the checksums of a frame, word by word, and with
// its lengths.
func sound(frame []byte) error {
	f := packet.Frame{Data: frame, Length: len(frame)}
	decode.Decode(&f)
	h := &f.Header
	if h.Anomaly != packet.NoAnomaly || h.Transport == 0 || f.Length != len(frame) {
		return fmt.Errorf("anomaly %v, %d bytes of %d", h.Anomaly, len(frame), f.Length)
	}
	ones := func(s uint32, b []byte) uint32 {
		for i, v := range b {
			s += uint32(v) << (8 * (1 - i%2))
		}
		return s
	}
	fold := func(s uint32) uint32 {
		for s > 0xffff {
			s = s>>16 + s&0xffff
		}
		return s
	}
	from, to := 8, 40
	if h.Version == 4 {
		from, to = 12, 20
		if s := fold(ones(0, frame[packet.EthernetLen:packet.EthernetLen+ipv4Len])); s != 0xffff {
			return fmt.Errorf("IPv4 checksum: sum %#x", s)
		}
	}
	l4 := frame[h.Transport:]
	if h.Protocol == packet.ProtocolUDP {
		if int(binary.BigEndian.Uint16(l4[4:])) != len(l4) {
			return fmt.Errorf("UDP length %d of %d", binary.BigEndian.Uint16(l4[4:]), len(l4))
		}
		if l4[6]|l4[7] == 0 {
			return nil
		}
	}
	s := ones(uint32(h.Protocol)+uint32(len(l4)), frame[packet.EthernetLen+from:packet.EthernetLen+to])
	if s = fold(ones(fold(s), l4)); s != 0xffff {
		return fmt.Errorf("checksum of protocol %d: sum %#x", h.Protocol, s)
	}
	return nil
}
