package tap

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

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

func TestSplit(t *testing.T) {
	const all = flagFIN | flagPSH | flagCWR | 0x10 | 0x40
	for name, s := range map[string]shape{
		"one segment":                 {size: 1448, payload: 1000, flags: all},
		"as long as one":              {size: 1448, payload: 1448, flags: all},
		"one more byte":               {size: 1448, payload: 1449, flags: all},
		"a multiple":                  {size: 1448, payload: 14480, flags: all},
		"options":                     {size: 1448, payload: 20000, options: 12, flags: all},
		"all the options":             {size: 1448, payload: 20000, options: 40, flags: all},
		"64 KiB":                      {size: 1448, payload: 65535 - 40, flags: all},
		"short segments":              {size: 48, payload: 65535 - 40, flags: all},
		"IPv6":                        {v6: true, size: 1428, payload: 30001, flags: all},
		"IPv6 options":                {v6: true, ext: true, size: 1428, payload: 30001, flags: all},
		"UDP":                         {udp: true, size: 1200, payload: 12001},
		"UDP over IPv6":               {udp: true, v6: true, size: 1200, payload: 12001},
		"behind the packet something": {size: 100, payload: 1000, trailing: 6},
	} {
		t.Run(name, func(t *testing.T) {
			frame, o := s.make()
			before := bytes.Clone(frame)
			super, ok := o.split(frame)
			if !ok {
				t.Fatal("not split")
			}
			segments := super.whole()
			if want := (s.payload + s.size - 1) / s.size; len(segments) != want {
				t.Fatalf("%d segments, want %d", len(segments), want)
			}
			var payload []byte
			for i, seg := range segments {
				if err := sound(seg); err != nil {
					t.Fatalf("segment %d: %v", i, err)
				}
				l4 := seg[super.transport:]
				last := i == len(segments)-1
				if want := super.size; len(super.part(i)) != want && !last {
					t.Errorf("segment %d has %d bytes", i, len(super.part(i)))
				}
				if !s.v6 && binary.BigEndian.Uint16(seg[18:]) != uint16(0xfffe+i) {
					t.Errorf("segment %d: identification %#x", i, seg[18:20])
				}
				if !s.udp {
					if seq := binary.BigEndian.Uint32(l4[4:]); seq != uint32(0xfffffff0+i*s.size) {
						t.Errorf("segment %d: sequence number %#x", i, seq)
					}
					want := s.flags
					if i > 0 {
						want &^= flagCWR
					}
					if !last {
						want &^= flagFIN | flagPSH
					}
					if l4[13] != want {
						t.Errorf("segment %d: flags %#x, want %#x", i, l4[13], want)
					}
				}
				payload = append(payload, super.part(i)...)
			}
			if want := before[len(before)-s.trailing-s.payload : len(before)-s.trailing]; !bytes.Equal(payload, want) {
				t.Error("the payload differs")
			}
			if !bytes.Equal(frame, before) {
				t.Error("the frame was changed")
			}
		})
	}
}

func TestSplitKeepsAUDPChecksumThatIsNotThere(t *testing.T) {
	frame, o := shape{udp: true, size: 100, payload: 250}.make()
	frame[int(o.sumStart)+6], frame[int(o.sumStart)+7] = 0, 0
	s, ok := o.split(frame)
	if !ok {
		t.Fatal("not split")
	}
	for i, seg := range s.whole() {
		if err := sound(seg); err != nil || seg[s.transport+6]|seg[s.transport+7] != 0 {
			t.Errorf("segment %d: %v, checksum %x", i, err, seg[s.transport+6:s.transport+8])
		}
	}
}

func TestSplitRefuses(t *testing.T) {
	tcp := shape{size: 100, payload: 1000}
	for name, change := range map[string]func(frame []byte, o *offload) []byte{
		"no size":             func(f []byte, o *offload) []byte { o.size = 0; return f },
		"another kind":        func(f []byte, o *offload) []byte { o.kind = 3; return f },
		"a tunnel":            func(f []byte, o *offload) []byte { f[23] = 17; return f },
		"a fragment":          func(f []byte, o *offload) []byte { f[20] = 0x20; return f },
		"an IP header of 16":  func(f []byte, o *offload) []byte { f[14] = 0x44; return f },
		"another version":     func(f []byte, o *offload) []byte { f[14] = 0x65; return f },
		"a TCP header of 16":  func(f []byte, o *offload) []byte { f[46] = 0x40; return f },
		"a frame that is cut": func(f []byte, o *offload) []byte { return f[:len(f)-1] },
		"nothing but headers": func(f []byte, o *offload) []byte { f[16], f[17] = 0, 40; return f },
		"more than 64 KiB":    func(f []byte, o *offload) []byte { f[16], f[17] = 0, 0; return f },
		"no header":           func(f []byte, o *offload) []byte { return f[:30] },
		"another EtherType":   func(f []byte, o *offload) []byte { f[12] = 0x88; return f },
	} {
		frame, o := tcp.make()
		if _, ok := o.split(change(frame, &o)); ok {
			t.Errorf("%s: split", name)
		}
	}
	six := shape{v6: true, ext: true, size: 100, payload: 1000}
	for name, change := range map[string]func(frame []byte, o *offload){
		"a routing header":           func(f []byte, o *offload) { f[20] = 43 },
		"a fragment of IPv6":         func(f []byte, o *offload) { f[20] = fragment6 },
		"options without a checksum": func(f []byte, o *offload) { o.flags = 0 },
		"options of no length":       func(f []byte, o *offload) { o.sumStart = 54 },
	} {
		frame, o := six.make()
		change(frame, &o)
		if _, ok := o.split(frame); ok {
			t.Errorf("%s: split", name)
		}
	}
}

func TestFinish(t *testing.T) {
	for _, s := range []shape{{size: 1000, payload: 999}, {v6: true, size: 1000, payload: 10}, {udp: true, size: 10, payload: 3}} {
		frame, o := s.make()
		// The kernel leaves the sum of the pseudo header.
		super, ok := o.split(frame)
		if !ok {
			t.Fatal("not split")
		}
		start := int(o.sumStart)
		sum := super.pseudo + uint64(len(frame)-start)
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		binary.BigEndian.PutUint16(frame[start+int(o.sumOffset):], uint16(sum))
		if !s.v6 {
			copy(frame, super.appendHeader(nil, 0)[:start]) // for the checksum of IPv4
		}
		if s.udp {
			binary.BigEndian.PutUint16(frame[start+4:], uint16(len(frame)-start))
			binary.BigEndian.PutUint16(frame[start+6:], 0)
			binary.BigEndian.PutUint16(frame[start+6:], uint16(sum))
		}
		if !o.finish(frame) {
			t.Fatal("not finished")
		}
		if err := sound(frame); err != nil {
			t.Error(err)
		}
		o.sumStart = uint16(len(frame))
		if o.finish(frame) {
			t.Error("finished what is out of reach")
		}
	}
}

// A checksum of zero is one to TCP, and none to UDP.
func TestFieldOfZero(t *testing.T) {
	for _, tt := range []struct {
		sum    uint64
		offset uint16
		want   uint16
	}{{0xffff, sumTCP, 0}, {0xffff, sumUDP, 0xffff}, {0xfffe, sumUDP, 1}, {0x1fffe, sumTCP, 0}} {
		if got := field(tt.sum, tt.offset); got != tt.want {
			t.Errorf("%#x at %d: %#04x, want %#04x", tt.sum, tt.offset, got, tt.want)
		}
	}
}

// Whatever the kernel and the network say, segments put together are what there
// was, and each is sound.
func FuzzSplit(f *testing.F) {
	for _, s := range []shape{{size: 100, payload: 1000}, {v6: true, size: 7, payload: 99, flags: 0xff}, {udp: true, size: 10, payload: 33},
		{v6: true, ext: true, size: 50, payload: 120}} {
		frame, o := s.make()
		f.Add(frame, o.flags, o.kind, o.size, o.sumStart, o.sumOffset)
	}
	f.Fuzz(func(t *testing.T, frame []byte, flags, kind uint8, size, start, offset uint16) {
		o := offload{flags, kind, size, start, offset}
		before := bytes.Clone(frame)
		s, ok := o.split(frame)
		if !ok {
			o.finish(frame)
			return
		}
		var payload []byte
		for i, seg := range s.whole() {
			part := s.part(i)
			if len(part) == 0 || len(part) > s.size {
				t.Fatalf("segment %d of %d bytes, of %d", i, len(part), s.size)
			}
			if binary.BigEndian.Uint16(seg[12:]) == etherIPv4 && seg[14] == 0x45 || seg[20] == s.protocol && s.v6 {
				if err := sound(seg); err != nil {
					t.Fatalf("segment %d: %v", i, err)
				}
			}
			payload = append(payload, part...)
		}
		if !bytes.Equal(payload, s.payload) || !bytes.Equal(frame, before) {
			t.Fatal("the payload differs, or the frame was changed")
		}
	})
}

func TestSegmentsDoNotAllocate(t *testing.T) {
	frame, o := shape{size: 1448, payload: 30000}.make()
	room := make([]byte, 0, headerRoom)
	if n := testing.AllocsPerRun(100, func() {
		s, _ := o.split(frame)
		for i := range s.segments() {
			room = s.appendHeader(room[:0], i)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
