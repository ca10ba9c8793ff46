package flow

import (
	"sync"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// Both ways make one record, the initiator first.
func TestConversation(t *testing.T) {
	r := record(t, nil)
	session := known(7)
	r.add(session, start+5*milli, spec{src: 9, dst: 2, sport: 40000, dport: 443, flags: flagSYN, seq: 100})
	r.add(session, start+6*milli, spec{src: 2, dst: 9, sport: 443, dport: 40000, flags: flagSYN | flagACK, seq: 900, ack: 101})
	r.add(session, start+8*milli, spec{src: 9, dst: 2, sport: 40000, dport: 443, flags: flagACK, seq: 101, ack: 901})
	r.add(session, start+9*milli, spec{src: 9, dst: 2, sport: 40000, dport: 443, flags: flagACK, seq: 101, ack: 901, payload: 100})
	got := r.end()
	if len(got) != 1 {
		t.Fatalf("%d records", len(got))
	}
	want := packet.Flow{
		Session: session, Begin: start, End: start + 60*second,
		Addr:     [2]packet.Addr{packet.AddrFrom4([4]byte{10, 0, 0, 9}), packet.AddrFrom4([4]byte{10, 0, 0, 2})},
		Port:     [2]uint16{40000, 443},
		Protocol: packet.ProtocolTCP, Reason: packet.FlowShutdown, ServerRTT: milli, ClientRTT: 2 * milli,
		Side: [2]packet.FlowSide{
			{Packets: 3, Bytes: 220, FrameBytes: 262, First: start + 5*milli, Last: start + 9*milli, TCPFlags: flagSYN | flagACK},
			{Packets: 1, Bytes: 40, FrameBytes: 54, First: start + 6*milli, Last: start + 6*milli, TCPFlags: flagSYN | flagACK, SYNACK: true},
		},
	}
	if got[0] != want {
		t.Errorf("record\n got %+v\nwant %+v", got[0], want)
	}
	if n := session.Tallies[0].TCPBytes.Load(); n != 100 {
		t.Errorf("TCP bytes %d, want 100", n)
	}
	if n := session.Tallies[0].Records.Load(); n != 1 {
		t.Errorf("records of the session: %d, want 1", n)
	}
}

// Workers add at once, each to its own shards, while others read the stats.
func TestWorkersAtOnce(t *testing.T) {
	const workers, packets = 4, 2000
	var emitted [workers]uint64
	table, err := New(Config{
		Workers: workers, Shards: workers, Capacity: 4000, Interval: time.Minute, Idle: time.Minute, Grace: time.Second, Seed: 1,
		Emit: func(worker int, r *packet.Flow) { emitted[worker] += r.Side[0].Packets + r.Side[1].Packets },
		Cut:  func(int, packet.Cut) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	session := known(1)
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for n := range uint32(packets) {
				now := start + int64(n)*100*milli
				f := udp(n%50).frame(session, now)
				f.Shard = 0 // as it is live
				table.Add(worker, f)
				table.Done(worker, batchAt(now))
				if s := table.Stats(); s.Live > workers*50 {
					t.Errorf("%d flows live", s.Live)
				}
			}
		})
	}
	wg.Wait()
	if s := table.Stats(); s.Live != workers*50 || s.Packets != workers*packets {
		t.Errorf("%d flows live, %d packets; want %d and %d", s.Live, s.Packets, workers*50, workers*packets)
	}
	table.Close()
	var sum uint64
	for _, n := range emitted {
		sum += n
	}
	if sum != workers*packets {
		t.Errorf("%d packets in records, want %d", sum, workers*packets)
	}
}
