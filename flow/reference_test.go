package flow

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// A tally of one direction of a flow within an interval, as naive as can be.
type direction struct {
	session  uint32
	source   packet.Addr
	src, dst packet.Addr
	sport    uint16
	dport    uint16
	protocol uint8
	begin    int64
}

type amounts struct{ packets, bytes, frameBytes, truncated uint64 }

// sum adds up what the records say of each direction. ICMP is left without
// ports, since records have none.
func sum(t *testing.T, records []packet.Flow, interval time.Duration) map[direction]amounts {
	sums := make(map[direction]amounts)
	for i := range records {
		r := &records[i]
		if r.Begin%int64(interval) != 0 || r.End != r.Begin+int64(interval) {
			t.Errorf("record from %d to %d is not of one interval", r.Begin, r.End)
		}
		for end := range r.Side {
			s := &r.Side[end]
			if s.Packets == 0 {
				continue
			}
			if s.First < r.Begin || s.Last >= r.End || s.First > s.Last {
				t.Errorf("packets from %d to %d in an interval from %d to %d", s.First, s.Last, r.Begin, r.End)
			}
			key := direction{r.Session.ID, r.Source, r.Addr[end], r.Addr[end^1], r.Port[end], r.Port[end^1], r.Protocol, r.Begin}
			if r.Session.Known {
				key.source = packet.Addr{}
			}
			a := sums[key]
			a.packets += s.Packets
			a.bytes += s.Bytes
			a.frameBytes += s.FrameBytes
			a.truncated += s.Truncated
			sums[key] = a
		}
	}
	return sums
}

// expect adds up the frames themselves.
func expect(frames []*packet.Frame, interval time.Duration) map[direction]amounts {
	sums := make(map[direction]amounts)
	for _, f := range frames {
		h := &f.Header
		key := direction{f.Session.ID, f.Source, h.Src, h.Dst, h.SrcPort, h.DstPort, h.Protocol, f.Time - f.Time%int64(interval)}
		if f.Session.Known {
			key.source = packet.Addr{}
		}
		a := sums[key]
		a.packets++
		a.bytes += uint64(h.IPLength)
		a.frameBytes += uint64(f.Length)
		if f.Truncated() {
			a.truncated++
		}
		sums[key] = a
	}
	return sums
}

// traffic makes n frames of all kinds in the order of time, over some minutes.
func traffic(seed uint64, n int) []*packet.Frame {
	random := rand.New(rand.NewPCG(seed, 0))
	sessions := []*packet.Session{known(1), known(2), {ID: 3, VNI: 3, Tallies: make([]packet.Tally, 4)}}
	frames := make([]*packet.Frame, n)
	now := start
	for i := range frames {
		now += random.Int64N(600 * second / int64(n))
		s := spec{
			src: uint32(random.IntN(20)), dst: uint32(random.IntN(20)),
			sport: uint16(random.IntN(3)), dport: uint16(random.IntN(3)),
			protocol: []uint8{packet.ProtocolTCP, packet.ProtocolTCP, packet.ProtocolUDP, packet.ProtocolICMP, 47}[random.IntN(5)],
			flags:    []uint8{flagSYN, flagSYN | flagACK, flagACK, flagACK, flagACK, flagACK, flagFIN | flagACK, flagRST}[random.IntN(8)],
			seq:      random.Uint32N(5000), ack: random.Uint32N(5000), payload: 20 + random.IntN(200),
			icmp: [2]uint8{uint8(random.IntN(20)), uint8(random.IntN(3))},
			cut:  max(0, random.IntN(20)-10),
		}
		frames[i] = s.frame(sessions[random.IntN(len(sessions))], now)
		frames[i].Source[15] = byte(random.IntN(2))
	}
	return frames
}

// emitted is a record with where it came in the order of batches.
type emitted struct {
	batch  int
	record packet.Flow
}

// replay runs frames through a table as a replay does, and returns the records
// in the order of batch, shard and emission.
func replay(t *testing.T, frames []*packet.Frame, change func(*Config)) ([]emitted, *Table) {
	t.Helper()
	return replayWith(t, frames, change, func(int) {})
}

const perBatch = 100

// replayWith calls before before each batch.
func replayWith(t *testing.T, frames []*packet.Frame, change func(*Config), before func(batch int)) ([]emitted, *Table) {
	t.Helper()
	c := Config{
		Workers: 1, Shards: packet.Shards, Capacity: 100_000, Interval: time.Minute, Idle: 2 * time.Minute, Grace: 5 * time.Second, Seed: 1,
	}
	change(&c)
	var all []emitted
	number := 0
	cuts := make([][]packet.Cut, c.Workers)
	c.Emit = func(worker int, r *packet.Flow) { all = append(all, emitted{number, *r}) }
	c.Cut = func(worker int, cut packet.Cut) { cuts[worker] = append(cuts[worker], cut) }
	table, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	for rest := frames; len(rest) > 0; number++ {
		n := min(perBatch, len(rest))
		before(number)
		b := &packet.Batch{}
		for _, f := range rest[:n] {
			b.Datagrams = append(b.Datagrams, packet.Datagram{Time: f.Time})
			b.Now = max(b.Now, f.Time)
		}
		for worker := range c.Workers {
			for _, f := range rest[:n] {
				if c.Shards == c.Workers && c.Workers == 1 || int(f.Shard)%c.Workers == worker {
					table.Add(worker, f)
				}
			}
			table.Done(worker, b)
			if msg := table.check(); msg != "" {
				t.Fatal(msg)
			}
		}
		rest = rest[n:]
	}
	table.Close()
	for worker := range cuts {
		for i := 1; i < len(cuts[worker]); i++ {
			if a, b := cuts[worker][i-1], cuts[worker][i]; !b.Last && b.Begin != a.End {
				t.Errorf("worker %d: interval from %d follows one to %d", worker, b.Begin, a.End)
			}
		}
		if worker != 0 && len(cuts[worker]) != len(cuts[0])-1 {
			t.Errorf("worker %d cut %d intervals, worker 0 %d and the last", worker, len(cuts[worker]), len(cuts[0])-1)
		}
	}
	if s := table.Stats(); s.Live != 0 {
		t.Errorf("%d flows live after the end", s.Live)
	}
	slices.SortStableFunc(all, func(a, b emitted) int {
		return cmp.Or(cmp.Compare(a.batch, b.batch), cmp.Compare(a.record.Shard, b.record.Shard))
	})
	return all, table
}

func records(all []emitted) []packet.Flow {
	list := make([]packet.Flow, len(all))
	for i := range all {
		list[i] = all[i].record
	}
	return list
}

// Every packet is in exactly one record, that of its flow and interval.
func TestEveryPacketInOneRecord(t *testing.T) {
	for _, c := range []struct{ shards, capacity, frames int }{
		{1, 100_000, 20_000}, {packet.Shards, 100_000, 20_000},
		{1, 300, 20_000}, {packet.Shards, 640, 20_000}, // most flows are evicted
		{1, 1, 3_000},
	} {
		t.Run(fmt.Sprintf("shards=%d,capacity=%d", c.shards, c.capacity), func(t *testing.T) {
			frames := traffic(uint64(c.capacity), c.frames)
			all, table := replay(t, frames, func(config *Config) { config.Shards, config.Capacity = c.shards, c.capacity })
			got, want := sum(t, records(all), time.Minute), expect(frames, time.Minute)
			// ICMP flows have no ports.
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%d sums of records, %d of frames, or different ones", len(got), len(want))
				for key, a := range want {
					if got[key] != a {
						t.Fatalf("%+v:\n got %+v\nwant %+v", key, got[key], a)
					}
				}
			}
			stats := table.Stats()
			var written uint64
			for _, n := range stats.Records {
				written += n
			}
			if stats.Packets != uint64(len(frames)) || written != uint64(len(all)) {
				t.Errorf("stats count %d packets of %d, %d records of %d", stats.Packets, len(frames), written, len(all))
			}
			if few := c.capacity < 1000; few != (stats.Evicted > 0) {
				t.Errorf("%d evictions with room for %d", stats.Evicted, c.capacity)
			}
		})
	}
}

// The records and their order do not depend on the number of workers.
func TestWorkersDoNotShow(t *testing.T) {
	frames := traffic(1, 8000)
	for _, capacity := range []int{100_000, 640} {
		want, _ := replay(t, frames, func(c *Config) { c.Capacity = capacity })
		for _, workers := range []int{2, 3} {
			got, _ := replay(t, frames, func(c *Config) { c.Capacity, c.Workers = capacity, workers })
			if !reflect.DeepEqual(got, want) {
				t.Errorf("room for %d flows: %d records of %d workers differ from %d of one", capacity, len(got), workers, len(want))
			}
		}
	}
}
