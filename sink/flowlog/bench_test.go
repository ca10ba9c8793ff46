package flowlog

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/flate"

	"github.com/periscope-collector/periscope/packet"
)

// records returns records of different flows in one minute, and a second one of
// each flow.
func records(n int) []packet.Flow {
	random := rand.New(rand.NewPCG(1, 2))
	const begin = int64(1768471200e9)
	s := &packet.Session{ID: 1, Name: "web", Workload: packet.Workload{
		AccountID: "111122223333", Region: "eu-central-1", InterfaceID: "eni-0a1b2c3d4e5f60718",
	}}
	rs := make([]packet.Flow, n)
	for i := range rs {
		first := begin + random.Int64N(30e9)
		last := first + random.Int64N(30e9)
		rs[i] = packet.Flow{
			Session: s, Begin: begin, End: begin + 60e9, Protocol: packet.ProtocolTCP,
			Addr: [2]packet.Addr{packet.AddrFrom4([4]byte{10, 0, 1, byte(random.IntN(20))}),
				packet.AddrFrom4([4]byte{203, byte(random.IntN(256)), byte(random.IntN(256)), byte(random.IntN(256))})},
			Port: [2]uint16{uint16(random.IntN(1 << 16)), 443},
			Side: [2]packet.FlowSide{
				{Packets: uint64(random.IntN(50) + 1), Bytes: uint64(random.IntN(1e5)), First: first, Last: last, Direction: packet.Egress, TCPFlags: 0x1b},
				{Packets: uint64(random.IntN(50) + 1), Bytes: uint64(random.IntN(1e6)), First: first, Last: last, Direction: packet.Ingress, TCPFlags: 0x1b},
			},
		}
	}
	return rs
}

// What a record costs from the queue to the file. A flow in text is two lines.
func BenchmarkSink(b *testing.B) {
	rs := records(1 << 14)
	for _, format := range []Format{Text, JSON} {
		b.Run(string(format), func(b *testing.B) {
			s, err := Open(Config{Dir: b.TempDir(), Format: format, Replay: true})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				s.Flow(0, &rs[n%len(rs)])
				if n++; n%1024 == 0 {
					s.Mark(0, 0, 0)
				}
			}
			if err := s.Close(b.Context()); err != nil {
				b.Error(err)
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(s.Stats().BytesWritten)/float64(n), "bytes/record")
		})
	}
}

// The levels of compression, on chunks of lines.
func BenchmarkLevels(b *testing.B) {
	rs := records(1 << 14)
	for _, format := range []Format{Text, JSON} {
		c := Config{Dir: "-", Format: format}
		if err := c.setDefaults(); err != nil {
			b.Fatal(err)
		}
		l := lines{c.Format, c.Fields, c.JSON}
		var text []byte
		n := 0
		for ; len(text) < chunkText; n++ {
			text, _ = l.appendFlow(text, &rs[n])
		}
		for _, level := range []int{flate.BestSpeed, 2, 3, 5, 6, 9} {
			b.Run(fmt.Sprintf("%s/%d", format, level), func(b *testing.B) {
				c := newCompressor(level)
				var end boundary
				for b.Loop() {
					_, end = c.extend(boundary{}, text)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/record")
				b.ReportMetric(float64(end.offset)/float64(n), "bytes/record")
			})
		}
	}
}
