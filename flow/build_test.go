package flow

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/decode"
	"github.com/periscope-collector/periscope/packet"
)

// start is the begin of an interval of 60 s.
const start = int64(1_700_000_040_000_000_000)

const (
	second = int64(time.Second)
	milli  = int64(time.Millisecond)
	micro  = int64(time.Microsecond)
)

// A spec says what a frame is to be. Addresses are 10.0.0.0 plus a number.
type spec struct {
	src, dst     uint32
	sport, dport uint16
	protocol     uint8 // 0 means TCP
	flags        uint8
	seq, ack     uint32
	payload      int
	id           uint16 // IP identification
	more         bool   // more fragments
	offset       uint16 // of a fragment, in bytes
	icmp         [2]uint8
	ttl          uint8
	cut          int // bytes cut from the end
}

// data builds the frame's bytes.
func (s spec) data() []byte {
	protocol := s.protocol
	if protocol == 0 {
		protocol = packet.ProtocolTCP
	}
	header := 0
	if s.offset == 0 {
		header = map[uint8]int{packet.ProtocolTCP: 20, packet.ProtocolUDP: 8, packet.ProtocolICMP: 8}[protocol]
	}
	length := 20 + header + s.payload
	p := make([]byte, 14+length)
	p[12] = 8
	ip := p[14:]
	ip[0], ip[8], ip[9] = 0x45, s.ttl, protocol
	binary.BigEndian.PutUint16(ip[2:], uint16(length))
	binary.BigEndian.PutUint16(ip[4:], s.id)
	fragment := s.offset / 8
	if s.more {
		fragment |= 0x2000
	}
	binary.BigEndian.PutUint16(ip[6:], fragment)
	binary.BigEndian.PutUint32(ip[12:], 10<<24|s.src)
	binary.BigEndian.PutUint32(ip[16:], 10<<24|s.dst)
	for i := 20 + header; i < length; i++ {
		ip[i] = byte(s.seq + uint32(i))
	}
	switch l4 := ip[20:]; {
	case s.offset != 0:
	case protocol == packet.ProtocolTCP:
		binary.BigEndian.PutUint16(l4, s.sport)
		binary.BigEndian.PutUint16(l4[2:], s.dport)
		binary.BigEndian.PutUint32(l4[4:], s.seq)
		binary.BigEndian.PutUint32(l4[8:], s.ack)
		l4[12], l4[13] = 0x50, s.flags
	case protocol == packet.ProtocolUDP:
		binary.BigEndian.PutUint16(l4, s.sport)
		binary.BigEndian.PutUint16(l4[2:], s.dport)
		binary.BigEndian.PutUint16(l4[4:], uint16(length-20))
	case protocol == packet.ProtocolICMP:
		l4[0], l4[1] = s.icmp[0], s.icmp[1]
	}
	return p
}

// frame builds the frame, decoded.
func (s spec) frame(session *packet.Session, at int64) *packet.Frame {
	data := s.data()
	f := &packet.Frame{Data: data[:len(data)-s.cut], Length: len(data), Time: at, Session: session, VNI: session.VNI}
	decode.Decode(f)
	f.Shard = uint8(decode.FlowHash(f.Data) % packet.Shards)
	return f
}

func known(id uint32) *packet.Session {
	return &packet.Session{ID: id, VNI: id, Known: true, Name: fmt.Sprint("s", id), Tallies: make([]packet.Tally, 4)}
}

// A recorder is a table whose records and cuts are kept. The clock is moved by
// hand.
type recorder struct {
	*Table
	t       testing.TB
	records []packet.Flow // in the order of emission by worker 0
	cuts    []packet.Cut
	now     int64
}

// record makes a table of one worker and one shard, unless change says
// otherwise.
func record(t testing.TB, change func(*Config)) *recorder {
	t.Helper()
	r := &recorder{t: t, now: start}
	c := Config{
		Workers: 1, Shards: 1, Capacity: 1000, Interval: time.Minute, Idle: 2 * time.Minute, Grace: 5 * time.Second, Seed: 1,
		Emit: func(_ int, f *packet.Flow) { r.records = append(r.records, *f) },
		Cut:  func(_ int, c packet.Cut) { r.cuts = append(r.cuts, c) },
	}
	if change != nil {
		change(&c)
	}
	table, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	r.Table = table
	r.clock(start)
	return r
}

// clock ends a batch.
func (r *recorder) clock(now int64) {
	r.now = now
	r.Done(0, &packet.Batch{Now: now})
	if msg := r.check(); msg != "" {
		r.t.Fatal(msg)
	}
}

// add adds one frame in a batch of its own.
func (r *recorder) add(session *packet.Session, at int64, s spec) {
	r.Add(0, s.frame(session, at))
	r.clock(max(r.now, at))
}

// take returns the records since the last call.
func (r *recorder) take() []packet.Flow {
	records := r.records
	r.records = nil
	return records
}

// one returns the only record since the last call.
func (r *recorder) one() packet.Flow {
	r.t.Helper()
	records := r.take()
	if len(records) != 1 {
		r.t.Fatalf("%d records, want 1: %+v", len(records), records)
	}
	return records[0]
}

// end closes the table and returns the records since the last call.
func (r *recorder) end() []packet.Flow {
	r.Close()
	return r.take()
}

// check says what is inconsistent in the tables of all shards.
func (t *Table) check() string {
	for _, s := range t.shards {
		var entries, indexed, gaps int
		refs := make(map[uint32]uint32)
		for k := range numKinds {
			n := uint32(0)
			for i := s.slab[k].newer; i != uint32(k); i = s.slab[i].newer {
				e := &s.slab[i]
				if e.kind != k || s.slab[e.newer].older != i || e.origin == 0 {
					return fmt.Sprintf("entry %d in the ring of kind %d is of kind %d, origin %d", i, k, e.kind, e.origin)
				}
				n++
				refs[e.origin]++
				gaps += e.side[0].gaps.count() + e.side[1].gaps.count()
			}
			if n != s.length[k] {
				return fmt.Sprintf("ring %d has %d entries, counts %d", k, n, s.length[k])
			}
			entries += int(n)
		}
		for i := range s.index.buckets {
			b := &s.index.buckets[i]
			for slot := range slots {
				if b.tags[slot>>3]>>(slot&7*8)&0xff != 0 {
					indexed++
					e := &s.slab[b.at(slot)]
					if e.origin == 0 {
						return fmt.Sprintf("the index holds the free entry %d", b.at(slot))
					}
				}
			}
		}
		free := 0
		for i := s.free; i != 0; i = s.slab[i].newer {
			free++
		}
		if indexed != entries || entries+free+int(numKinds) != int(s.used) {
			return fmt.Sprintf("%d entries, %d in the index, %d free, %d used", entries, indexed, free, s.used)
		}
		for i, o := range s.origins.at {
			if o.refs != refs[uint32(i)] || (o.session == nil) != (o.refs == 0) {
				return fmt.Sprintf("origin %d has %d entries, counts %d", i, refs[uint32(i)], o.refs)
			}
		}
		freeGaps := 0
		for i := s.gaps.free; i != 0; i = s.gaps.at[i].link {
			freeGaps++
		}
		if gaps+freeGaps+1 != int(s.gaps.used) {
			return fmt.Sprintf("%d gaps, %d free, %d used", gaps, freeGaps, s.gaps.used)
		}
	}
	return ""
}

// batchAt is an empty batch that brings the clock.
func batchAt(now int64) *packet.Batch { return &packet.Batch{Now: now} }
