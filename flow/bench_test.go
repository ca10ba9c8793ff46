package flow

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

const batchLen = 256

// A load fills batches with decoded frames. next changes what tells flows apart
// in frame i.
type load struct {
	table *Table
	batch *packet.Batch
	now   int64
}

func newLoad(b testing.TB, capacity, shards int, decoded packet.Frame) *load {
	table, err := New(Config{
		Workers: 1, Shards: shards, Capacity: capacity, Interval: time.Minute, Idle: 2 * time.Minute, Grace: 5 * time.Second, Seed: 1,
		Emit: func(int, *packet.Flow) {}, Cut: func(int, packet.Cut) {},
	})
	if err != nil {
		b.Fatal(err)
	}
	l := &load{table: table, batch: packet.NewBatch(batchLen), now: start}
	l.batch.Resize(batchLen)
	for i := range l.batch.Frames {
		f := &l.batch.Frames[i]
		*f = decoded
		f.Data = append([]byte(nil), decoded.Data...)
	}
	return l
}

// run gives n frames, of which set makes the flow of each.
func (l *load) run(n int, set func(f *packet.Frame)) {
	for n > 0 {
		for i := range l.batch.Frames {
			f := &l.batch.Frames[i]
			set(f)
			f.Time = l.now
			l.table.Add(0, f)
		}
		n -= batchLen
		l.now += int64(batchLen) * micro
		l.batch.Now = l.now
		l.table.Done(0, l.batch)
	}
}

// setFlow makes f a frame of flow n.
func setFlow(f *packet.Frame, n uint32) {
	h := &f.Header
	h.Src[13], h.Src[14], h.Src[15] = byte(n>>16), byte(n>>8), byte(n)
	h.SrcPort = uint16(n*40503) | 1024
	f.Shard = uint8(n % packet.Shards)
}

func tcpFrame(flags uint8) packet.Frame {
	return *spec{src: 1, dst: 2, sport: 1, dport: 443, flags: flags, payload: 64}.frame(known(1), start)
}

// BenchmarkGenerator is what the other benchmarks spend on making frames.
func BenchmarkGenerator(b *testing.B) {
	l := newLoad(b, 1000, 1, tcpFrame(flagACK))
	random := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < b.N; i++ {
		f := &l.batch.Frames[i%batchLen]
		setFlow(f, uint32(random.Uint64()>>32*50_000>>32))
		f.Time = l.now
	}
}

// BenchmarkAdd is the cost per packet of a table with so many flows, each packet
// of any of them.
func BenchmarkAdd(b *testing.B) {
	for _, flows := range []int{1000, 50_000, 1_000_000} {
		for _, shards := range []int{1, packet.Shards} {
			b.Run(fmt.Sprintf("flows=%d/shards=%d", flows, shards), func(b *testing.B) {
				l := newLoad(b, flows+flows/4, shards, tcpFrame(flagACK))
				next := uint32(0)
				l.run(2*flows, func(f *packet.Frame) { setFlow(f, next%uint32(flows)); next++ })
				random := rand.New(rand.NewPCG(1, 2))
				b.ReportAllocs()
				b.ResetTimer()
				l.run(b.N, func(f *packet.Frame) { setFlow(f, uint32(random.Uint64()>>32*uint64(flows)>>32)) })
				b.StopTimer()
				if s := l.table.Stats(); s.Evicted != 0 {
					b.Fatalf("%d evictions", s.Evicted)
				}
			})
		}
	}
}

// BenchmarkAttack is the cost per packet of traffic made to be costly, in a
// table for 1,000,000 flows.
func BenchmarkAttack(b *testing.B) {
	const capacity = 1_000_000
	for _, c := range []struct {
		name  string
		flags uint8
		set   func(f *packet.Frame, n uint32)
	}{
		{"synflood", flagSYN, setFlow},
		{"portscan", flagSYN, func(f *packet.Frame, n uint32) {
			// Each SYN to a port of its own is refused.
			h := &f.Header
			if n%2 == 0 {
				h.Src, h.Dst = packet.AddrFrom4([4]byte{10, 0, 0, 1}), packet.AddrFrom4([4]byte{10, 1, byte(n >> 25), byte(n >> 17)})
				h.SrcPort, h.DstPort, h.TCPFlags = 40000, uint16(n>>1), flagSYN
			} else {
				n--
				h.Dst, h.Src = packet.AddrFrom4([4]byte{10, 0, 0, 1}), packet.AddrFrom4([4]byte{10, 1, byte(n >> 25), byte(n >> 17)})
				h.DstPort, h.SrcPort, h.TCPFlags = 40000, uint16(n>>1), flagRST|flagACK
			}
			f.Shard = uint8(n >> 1 % packet.Shards)
		}},
		{"collisions", flagSYN, collide(newHasher(1))},
	} {
		b.Run(c.name, func(b *testing.B) {
			l := newLoad(b, capacity, 1, tcpFrame(c.flags))
			next := uint32(0)
			set := func(f *packet.Frame) { c.set(f, next); next++ }
			l.run(2*capacity+capacity/2, set)
			b.ReportAllocs()
			b.ResetTimer()
			l.run(b.N, set)
		})
	}
}
