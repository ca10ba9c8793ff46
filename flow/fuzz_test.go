package flow

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
)

// arbitrary makes a frame of 64 bytes of input: some decoded, some with a header
// that decode would never give.
func arbitrary(p []byte, sessions []*packet.Session) *packet.Frame {
	u16 := func(i int) uint16 { return binary.BigEndian.Uint16(p[i:]) }
	f := &packet.Frame{
		Session: sessions[int(p[0])%len(sessions)], Shard: p[1],
		Time: int64(binary.BigEndian.Uint64(p[2:])), Direction: packet.Direction(p[10] % 3),
	}
	if p[10]&0x40 != 0 {
		f.Time = start + int64(u16(2))*10*milli
	}
	f.Source[15] = p[11] & 1
	if p[10]&0x80 != 0 {
		s := spec{
			src: uint32(p[12] & 3), dst: uint32(p[13] & 3), sport: u16(14) & 3, dport: u16(16) & 3,
			protocol: []uint8{1, 6, 17, 47}[p[18]&3], flags: p[19], seq: binary.BigEndian.Uint32(p[20:]), ack: binary.BigEndian.Uint32(p[24:]),
			payload: int(p[28]), id: u16(30) & 3, more: p[32]&1 != 0, offset: u16(34) & 8, icmp: [2]uint8{p[36], p[37]},
		}
		f.Data = s.data()
		f.Data = f.Data[:len(f.Data)-min(len(f.Data), int(p[38]&15))]
		f.Length = len(f.Data) + int(p[39]&1)
		decode.Decode(f)
		return f
	}
	f.Data, f.Length = p[64-p[12]%65:], int(int32(binary.BigEndian.Uint32(p[13:])))
	f.Header = packet.Header{
		Src: packet.Addr{p[17] & 1}, Dst: packet.Addr{p[18] & 1}, SrcPort: u16(19), DstPort: u16(21), Version: p[23] % 8,
		Protocol: p[24] % 64, TCPFlags: p[25], ICMPType: p[26], ICMPCode: p[27], MoreFragments: p[28]&1 != 0, FragmentOffset: u16(28) &^ 7,
		FragmentID: uint32(p[30]), Network: u16(31) % 80, Transport: u16(33) % 80, Payload: u16(35) % 80,
		IPLength: binary.BigEndian.Uint32(p[37:]), EtherType: u16(41),
	}
	return f
}

// Whatever the frames and the clock, the table stays consistent and small, and
// each frame is in one record.
func FuzzTable(f *testing.F) {
	for seed := range byte(8) {
		p := make([]byte, 64*12)
		for i := range p {
			p[i] = byte(i*i*7+i>>3) ^ seed*31
		}
		f.Add(p, seed)
	}
	f.Fuzz(func(t *testing.T, input []byte, how byte) {
		sessions := []*packet.Session{known(1), known(2), {ID: 3, VNI: 3}}
		var inRecords, cuts uint64
		table, err := New(Config{
			Workers: 1, Shards: 1 + int(how&1)*63, Capacity: 1 + int(how>>3), Interval: time.Minute, Idle: time.Minute,
			Grace: time.Second, Seed: uint64(how), DropDuplicates: how&2 != 0,
			Emit: func(_ int, r *packet.Flow) {
				for i := range r.Side {
					s := &r.Side[i]
					inRecords += s.Packets
					if s.Packets != 0 && s.First > s.Last || s.Truncated > s.Packets || s.Duplicates > s.Packets || s.FrameBytes < s.Bytes {
						t.Errorf("side %+v", *s)
					}
				}
				if r.Session == nil || r.End-r.Begin != 60*second || r.ServerRTT < 0 || r.ClientRTT < 0 || r.Side[0].Packets+r.Side[1].Packets == 0 {
					t.Errorf("record %+v", *r)
				}
			},
			Cut: func(int, packet.Cut) { cuts++ },
		})
		if err != nil {
			t.Fatal(err)
		}
		now, frames, batches := start, uint64(0), uint64(0)
		for n := 0; len(input) >= 64; input = input[64:] {
			frame := arbitrary(input[:64], sessions)
			if frame.Header.Version != 0 {
				frames++
			}
			table.Add(0, frame)
			if n++; n%3 == 0 {
				now = max(now, frame.Time)
				batches++
				table.Done(0, batchAt(now))
				if msg := table.check(); msg != "" {
					t.Fatal(msg)
				}
			}
		}
		table.Done(0, batchAt(now))
		table.Close()
		s := table.Stats()
		if how&2 == 0 && s.Packets != frames || how&2 != 0 && s.Packets+s.Duplicates != frames || inRecords != s.Packets || s.Live != 0 {
			t.Errorf("%d frames, %d in records; stats %+v", frames, inRecords, s)
		}
		if cuts > (batches+2)*(maxGap+1)+1 {
			t.Errorf("%d cuts in %d batches", cuts, batches)
		}
	})
}
