package bench

import (
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/bench/traffic"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/tunnel"
)

// batchLen is how many datagrams a batch of a socket has.
const batchLen = 64

// A load is traffic: TCP over IPv4 in VXLAN from 10.0.0.1, 1 µs apart, to port
// 443 of one server.
type load struct {
	size     int // of frames, in bytes
	sessions int // VNIs 1 to sessions, in turn

	// flows is how many there are, each of them once before the clock starts and
	// once in every round after it, its segments in sequence. If it is 0, packet n
	// is a SYN of flow next(n).
	flows uint32
	next  func(n uint32) uint32
}

// A source lends one batch again and again: the traffic that fills the table,
// then b.N datagrams. The bytes stay in place, but for those that tell flows
// apart.
type source struct {
	load
	meter
	batch *packet.Batch
	slab  []byte
	warm  int // datagrams before the clock starts
	end   int
	n     int
	now   int64
}

// Offsets in a datagram's payload.
const (
	ethernetAt = tunnel.VXLANLen
	ipAt       = ethernetAt + packet.EthernetLen
	tcpAt      = ipAt + 20
)

func newSource(b *testing.B, t load) *source {
	s := &source{
		load: t, meter: meter{b: b}, batch: packet.NewBatch(batchLen),
		warm: int(t.flows), now: time.Now().Truncate(interval).UnixNano(),
	}
	if t.flows == 0 {
		s.warm = 2 * tableLen
	}
	s.end = s.warm + b.N
	s.slab = make([]byte, batchLen*s.slot())
	for i := range batchLen {
		payload := s.payload(i)
		tunnel.AppendVXLAN(payload[:0], uint32(1+i%t.sessions))
		_, server, _ := traffic.Interface()
		binary.BigEndian.PutUint16(payload[ethernetAt+12:], 0x0800)
		ip, tcp := payload[ipAt:], payload[tcpAt:]
		ip[0], ip[8], ip[9] = 0x45, 64, packet.ProtocolTCP
		binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
		copy(ip[16:20], server[12:])
		binary.BigEndian.PutUint16(tcp[2:], 443)
		tcp[12], tcp[13] = 0x50, 0x10 // ACK
		if t.flows == 0 {
			tcp[13] = 0x02 // SYN
		}
	}
	b.SetBytes(int64(t.size))
	return s
}

// slot is the room for a datagram.
func (s *source) slot() int { return packet.Headroom + tunnel.VXLANLen + s.size }

func (s *source) payload(i int) []byte { return s.slab[i*s.slot():][packet.Headroom:s.slot()] }

func (s *source) Next() (*packet.Batch, error) {
	if s.n == s.end {
		return nil, io.EOF
	}
	n := min(batchLen, s.end-s.n)
	if s.n < s.warm {
		n = min(n, s.warm-s.n)
	} else if s.n == s.warm {
		s.start()
	}
	s.batch.Resize(n)
	for i := range n {
		s.set(s.payload(i))
		s.now += 1000
		s.batch.Datagrams[i] = packet.Datagram{
			Buf: s.slab[i*s.slot():][:s.slot()], Off: packet.Headroom, Length: tunnel.VXLANLen + s.size,
			Time: s.now, Order: s.now, Source: packet.AddrFrom4([4]byte{10, 0, 0, 1}),
		}
		s.n++
	}
	s.batch.Mark, s.batch.Now = s.now+1, s.now
	return s.batch, nil
}

// set makes a payload packet n's. Each round is in another order than the first,
// in which a table's entries lie, and far apart, so that no cache foresees it.
func (s *source) set(payload []byte) {
	const stride = 611_953 // a prime: a round has all flows
	n := uint64(s.n)
	if s.sessions > batchLen {
		tunnel.AppendVXLAN(payload[:0], uint32(1+n%uint64(s.sessions)))
	}
	flow, sequence := uint32(n), uint32(0)
	switch {
	case s.flows == 0:
		flow = s.next(flow)
	case s.n >= s.warm:
		flow = uint32(n * stride % uint64(s.flows))
		sequence = uint32(n/uint64(s.flows)) * uint32(len(payload)-tcpAt-20)
	}
	binary.BigEndian.PutUint32(payload[ipAt+12:], 0x0b000000|flow>>14)
	binary.BigEndian.PutUint16(payload[tcpAt:], uint16(flow<<2))
	binary.BigEndian.PutUint32(payload[tcpAt+4:], sequence)
}

func (s *source) Release(*packet.Batch) {}
