package tap

import (
	"bytes"
	"encoding/binary"
	"testing"
)

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
