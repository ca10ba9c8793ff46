package decode

import (
	"encoding/binary"
	"testing"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/packet"
)

// udp4 is a UDP packet, or a fragment of one, between two hosts: offset is in
// units of 8 bytes, and only what has offset 0 carries ports.
func udp4(from, to byte, sport, dport, id, offset uint16, more bool) []byte {
	f := make([]byte, 14+20+16)
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	p := f[14:]
	p[0], p[9], p[12], p[15], p[16], p[19] = 0x45, 17, 10, from, 10, to
	binary.BigEndian.PutUint16(p[2:], 36)
	binary.BigEndian.PutUint16(p[4:], id)
	if more {
		offset |= 0x2000
	}
	binary.BigEndian.PutUint16(p[6:], offset)
	if offset&0x1fff == 0 {
		binary.BigEndian.PutUint16(p[20:], sport)
		binary.BigEndian.PutUint16(p[22:], dport)
		binary.BigEndian.PutUint16(p[24:], 16)
	}
	return f
}

// udp6 is the same over IPv6, with a fragment header unless id is 0.
func udp6(from, to byte, sport, dport uint16, id uint32, offset uint16, more bool) []byte {
	f := make([]byte, 14+40, 14+40+8+16)
	binary.BigEndian.PutUint16(f[12:], 0x86dd)
	p := f[14:]
	p[0], p[6], p[8], p[23], p[24], p[39] = 0x60, 17, 0xfd, from, 0xfd, to
	length := 16
	if id != 0 {
		p[6] = extFragment
		h := make([]byte, 8)
		h[0] = 17
		field := offset << 3
		if more {
			field |= 1
		}
		binary.BigEndian.PutUint16(h[2:], field)
		binary.BigEndian.PutUint32(h[4:], id)
		f = append(f, h...)
		length += 8
	}
	binary.BigEndian.PutUint16(f[14+4:], uint16(length))
	u := make([]byte, 16)
	if offset == 0 {
		binary.BigEndian.PutUint16(u[0:], sport)
		binary.BigEndian.PutUint16(u[2:], dport)
		binary.BigEndian.PutUint16(u[4:], 16)
	}
	return append(f, u...)
}

// A fragment has the shard of its flow, in either direction, if the first
// fragment came before it.
func TestFragmentsHaveTheShardOfTheirFlow(t *testing.T) {
	for port := range uint16(100) {
		var s sharder
		port += 2000
		whole4 := s.shard(udp4(1, 2, port, 53, 7, 0, false))
		whole6 := s.shard(udp6(1, 2, port, 53, 0, 0, false))
		for _, c := range []struct {
			name  string
			frame []byte
			want  uint8
		}{
			{"IPv4 first", udp4(2, 1, 53, port, 9, 0, true), whole4},
			{"IPv4 middle", udp4(2, 1, 0, 0, 9, 2, true), whole4},
			{"IPv4 last", udp4(2, 1, 0, 0, 9, 4, false), whole4},
			{"IPv6 first", udp6(2, 1, 53, port, 9, 0, true), whole6},
			{"IPv6 last", udp6(2, 1, 0, 0, 9, 2, false), whole6},
			{"IPv6 the only one", udp6(2, 1, 53, port, 10, 0, false), whole6},
		} {
			if got := s.shard(c.frame); got != c.want {
				t.Errorf("port %d, %s: shard %d, that of the flow is %d", port, c.name, got, c.want)
			}
		}
		// Not of that packet: another id, or no fragment at all.
		for _, other := range [][]byte{udp4(2, 1, 0, 0, 8, 2, true), udp6(2, 1, 0, 0, 11, 2, false)} {
			if got, want := s.shard(other), uint8(FlowHash(other)%packet.Shards); got != want {
				t.Errorf("port %d: a fragment whose first did not come has shard %d, want %d", port, got, want)
			}
		}
	}
}

// Any bytes have a shard, the same from the decoded header.
func FuzzShard(f *testing.F) {
	f.Add(udp4(1, 2, 1000, 53, 7, 0, true))
	f.Add(udp6(1, 2, 0, 0, 7, 2, false))
	f.Add(udp4(1, 2, 1000, 53, 7, 0, false))
	f.Add(udp6(1, 2, 1000, 53, 0, 0, false))
	f.Fuzz(func(t *testing.T, frame []byte) {
		var s sharder
		first := s.shard(frame)
		if first >= packet.Shards || s.shard(frame) != first {
			t.Errorf("shard %d, then %d", first, s.shard(frame))
		}
		decoded := packet.Frame{Data: frame, Length: len(frame)}
		Decode(&decoded)
		if shard := s.ofDecoded(&decoded); shard != first {
			t.Errorf("shard %d, from the decoded header %d", first, shard)
		}
	})
}

func TestShardAllocatesNothing(t *testing.T) {
	var s sharder
	frame := udp4(1, 2, 1000, 53, 7, 0, true)
	if n := testing.AllocsPerRun(100, func() { s.shard(frame) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The decoded header gives the same shard for every stack of headers, whole or
// cut anywhere.
func TestShardOfDecoded(t *testing.T) {
	stacks := traffic.NewStacks(1)
	for range 2000 {
		whole := stacks.Next()
		for n := len(whole); n >= 0; n -= 7 {
			var s sharder
			frame := packet.Frame{Data: whole[:n:n], Length: len(whole)}
			want := s.shard(frame.Data)
			Decode(&frame)
			if got := s.ofDecoded(&frame); got != want {
				t.Fatalf("shard %d, from the decoded header %d: %x", want, got, frame.Data)
			}
		}
	}
}
