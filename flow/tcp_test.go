package flow

import (
	"testing"

	"github.com/periscope-collector/periscope/packet"
)

const (
	client = 0
	server = 1
)

// segments of a connection from 10.0.0.9 port 40000 to 10.0.0.2 port 443.
func seg(from int, flags uint8, seq, ack uint32, payload int) spec {
	if from == client {
		return spec{src: 9, dst: 2, sport: 40000, dport: 443, flags: flags, seq: seq, ack: ack, payload: payload}
	}
	return spec{src: 2, dst: 9, sport: 443, dport: 40000, flags: flags, seq: seq, ack: ack, payload: payload}
}

// timed is a segment so many µs after the one before.
type timed struct {
	after int64
	spec
}

// handshake takes 2 ms from SYN to SYN-ACK and 1 ms more to the ACK.
var handshakeOf = []timed{
	{0, seg(client, flagSYN, 99, 0, 0)},
	{2000, seg(server, flagSYN|flagACK, 499, 100, 0)},
	{1000, seg(client, flagACK, 100, 500, 0)},
}

func after(rest ...timed) []timed { return append(append([]timed(nil), handshakeOf...), rest...) }

func TestTCP(t *testing.T) {
	const ack = flagACK
	type counts struct{ lost, again, shuffled, bytes uint64 }
	for _, c := range []struct {
		name     string
		segments []timed
		want     counts // of both ends
	}{
		{"in order", after(timed{10, seg(client, ack, 100, 500, 10)}, timed{10, seg(client, ack, 110, 500, 10)}), counts{bytes: 20}},
		{"SYN sent again", []timed{handshakeOf[0], {1000, handshakeOf[0].spec}}, counts{again: 1}},
		{"FIN sent again", after(timed{10, seg(client, ack|flagFIN, 100, 500, 0)}, timed{10, seg(client, ack|flagFIN, 100, 500, 0)}), counts{again: 1}},
		{"segment sent again", after(timed{10, seg(client, ack, 100, 500, 10)}, timed{10, seg(client, ack, 100, 500, 10)}), counts{again: 1, bytes: 10}},
		{"sent again with more behind", after(timed{10, seg(client, ack, 100, 500, 10)}, timed{10, seg(client, ack, 100, 500, 30)}), counts{bytes: 30}},
		{"keep-alive of no byte", after(timed{10, seg(client, ack, 100, 500, 10)}, timed{10, seg(client, ack, 109, 500, 0)}), counts{bytes: 10}},
		{"keep-alive of one byte", after(timed{10, seg(client, ack, 100, 500, 10)}, timed{10, seg(client, ack, 109, 500, 1)}), counts{bytes: 10}},
		{"one byte sent again, not the last", after(timed{10, seg(client, ack, 100, 500, 10)}, timed{10, seg(client, ack, 108, 500, 1)}), counts{again: 1, bytes: 10}},
		{"two segments change places", after(timed{10, seg(client, ack, 110, 500, 10)}, timed{10, seg(client, ack, 100, 500, 10)}), counts{shuffled: 1, bytes: 20}},
		{"a gap filled just before a round trip", after(timed{10, seg(client, ack, 110, 500, 10)}, timed{2999, seg(client, ack, 100, 500, 10)}), counts{shuffled: 1, bytes: 20}},
		{"a gap filled after a round trip", after(timed{10, seg(client, ack, 110, 500, 10)}, timed{3000, seg(client, ack, 100, 500, 10)}), counts{again: 1, bytes: 20}},
		{"a gap filled in the middle", after(timed{10, seg(client, ack, 130, 500, 10)}, timed{10, seg(client, ack, 110, 500, 10)},
			timed{10, seg(client, ack, 100, 500, 10)}, timed{10, seg(client, ack, 120, 500, 10)}), counts{shuffled: 3, bytes: 40}},
		{"a gap that nobody acknowledges", after(timed{10, seg(client, ack, 110, 500, 10)}), counts{bytes: 10}},
		{"a gap that is acknowledged", after(timed{10, seg(client, ack, 110, 500, 10)}, timed{10, seg(server, ack, 500, 120, 0)}), counts{lost: 10, bytes: 10}},
		{"half of a gap acknowledged", after(timed{10, seg(client, ack, 110, 500, 10)}, timed{10, seg(server, ack, 500, 104, 0)}), counts{lost: 4, bytes: 10}},
		{"an acknowledgement beyond what was seen", after(timed{10, seg(server, ack, 500, 200, 0)}), counts{lost: 100}},
		{"an acknowledgement of a FIN that was not seen", after(timed{10, seg(server, ack, 500, 101, 0)}), counts{}},
		{"an acknowledgement overtakes its segment", after(timed{10, seg(server, ack, 500, 110, 0)}, timed{1000, seg(client, ack, 100, 500, 10)},
			timed{9000, seg(client, ack, 110, 500, 10)}), counts{shuffled: 1, bytes: 20}},
		{"an acknowledged gap is given up after 3 ms", after(timed{10, seg(server, ack, 500, 110, 0)}, timed{3001, seg(client, ack, 110, 500, 10)},
			timed{10, seg(client, ack, 100, 500, 10)}), counts{lost: 10, again: 1, bytes: 10}},
		{"SYN-ACK not seen", []timed{handshakeOf[0], handshakeOf[2], {10, seg(server, ack, 600, 100, 10)}, {10, seg(client, ack, 100, 610, 0)}}, counts{lost: 100, bytes: 10}},
		{"SYN not seen", []timed{handshakeOf[1], handshakeOf[2], {10, seg(client, ack, 110, 500, 10)}, {10, seg(server, ack, 500, 120, 0)}}, counts{lost: 10, bytes: 10}},
		{"from the middle", []timed{{0, seg(server, ack, 900, 100, 0)}, {10, seg(client, ack, 80, 900, 10)}, {10, seg(client, ack, 90, 900, 10)}, {10, seg(server, ack, 900, 100, 0)}}, counts{bytes: 20}},
		{"one way, with a gap", []timed{{0, seg(client, ack, 100, 500, 10)}, {10, seg(client, ack, 120, 500, 10)}}, counts{bytes: 20}},
		{"from the middle, a gap after a second", []timed{{0, seg(client, ack, 100, 500, 10)}, {1e6, seg(client, ack, 120, 500, 10)}, {10, seg(server, ack, 500, 130, 0)}}, counts{lost: 10, bytes: 20}},
		{"from the middle, a gap within a second", []timed{{0, seg(client, ack, 100, 500, 10)}, {1e6 - 1, seg(client, ack, 120, 500, 10)}, {10, seg(server, ack, 500, 130, 0)}}, counts{bytes: 20}},
		{"from the middle, the gap filled", []timed{{0, seg(client, ack, 100, 500, 10)}, {10, seg(client, ack, 120, 500, 10)}, {10, seg(client, ack, 110, 500, 10)}}, counts{shuffled: 1, bytes: 30}},
		{"sequence numbers wrap", []timed{{0, seg(client, ack, 0xfffffff0, 500, 10)}, {1e6, seg(client, ack, 4, 500, 10)}, {10, seg(server, ack, 500, 14, 0)}}, counts{lost: 10, bytes: 20}},
		{"a far sequence number", after(timed{10, seg(client, ack, 100+2<<30, 500, 10)}, timed{10, seg(client, ack, 110+2<<30, 500, 10)}), counts{bytes: 20}},
		{"a far acknowledgement", after(timed{10, seg(server, ack, 500, 100+1<<30+1, 0)}, timed{10, seg(client, ack, 100, 500, 10)}), counts{bytes: 10}},
		{"a forged acknowledgement", after(timed{10, seg(server, ack, 500, 100+1<<29, 0)}, timed{9000, seg(client, ack, 100, 500, 10)},
			timed{10, seg(client, ack, 110, 500, 10)}), counts{bytes: 20}},
		{"a forged segment", after(timed{10, seg(client, ack, 100+1<<29, 500, 10)}, timed{9000, seg(client, ack, 100, 500, 10)},
			timed{10, seg(server, ack, 500, 110, 0)}), counts{bytes: 20}},
		{"a long gap that is true", after(timed{10, seg(client, ack, 100+1<<21, 500, 10)}, timed{10, seg(client, ack, 110+1<<21, 500, 10)},
			timed{10, seg(server, ack, 500, 120+1<<21, 0)}), counts{lost: 1 << 21, bytes: 20}},
		{"a reset is no acknowledgement", after(timed{10, seg(server, ack|flagRST, 500, 900, 0)}), counts{}},
		{"a new connection on the same ports", after(timed{10, seg(server, ack|flagRST, 500, 100, 0)}, timed{10, seg(client, flagSYN, 90000, 0, 0)},
			timed{10, seg(client, ack, 90001, 500, 10)}), counts{bytes: 10}},
		{"a SYN with another number on an open connection", after(timed{10, seg(client, flagSYN, 90000, 0, 0)}, timed{10, seg(client, ack, 90001, 500, 10)}), counts{bytes: 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, session, now := record(t, nil), known(1), start
			for _, s := range c.segments {
				now += s.after * micro
				r.add(session, now, s.spec)
			}
			var got counts
			for _, f := range r.end() {
				for _, s := range f.Side {
					got.lost += s.Lost
					got.again += s.Retransmitted
					got.shuffled += s.OutOfOrder
				}
			}
			tally := &session.Tallies[0]
			got.bytes = tally.TCPBytes.Load()
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if of := (counts{tally.LostBytes.Load(), tally.Retransmitted.Load(), tally.OutOfOrder.Load(), got.bytes}); of != got {
				t.Errorf("the session's tally has %+v, the records %+v", of, got)
			}
			stats := r.Stats()
			if of := (counts{stats.LostBytes, stats.Retransmitted, stats.OutOfOrder, stats.TCPBytes}); of != got {
				t.Errorf("the stats have %+v, the records %+v", of, got)
			}
		})
	}
}

func TestInitiator(t *testing.T) {
	udp := func(src, dst uint32, sport, dport uint16) spec {
		return spec{src: src, dst: dst, sport: sport, dport: dport, protocol: packet.ProtocolUDP}
	}
	tcp := func(src, dst uint32, sport, dport uint16, flags uint8) spec {
		return spec{src: src, dst: dst, sport: sport, dport: dport, flags: flags}
	}
	for _, c := range []struct {
		name  string
		first spec
		want  uint32
	}{
		{"SYN", tcp(2, 9, 443, 40000, flagSYN), 2},
		{"SYN-ACK", tcp(2, 9, 443, 40000, flagSYN|flagACK), 9},
		{"from the middle, the server", tcp(2, 9, 1023, 1024, flagACK), 9},
		{"from the middle, the client", tcp(9, 2, 1024, 1023, flagACK), 9},
		{"from the middle, both ports high", tcp(2, 9, 1024, 1025, flagACK), 2},
		{"from the middle, both ports low", tcp(2, 9, 22, 1023, flagACK), 2},
		{"UDP", udp(2, 9, 53, 40000), 2},
	} {
		for _, seed := range []uint64{1, 2, 3, 4} { // the ends come in either order
			r := record(t, func(config *Config) { config.Seed = seed })
			r.add(known(1), start, c.first)
			got := r.end()[0]
			if want := packet.AddrFrom4([4]byte{10, 0, 0, byte(c.want)}); got.Addr[0] != want || got.Side[0].Packets+got.Side[1].Packets != 1 ||
				(got.Addr[0][15] == byte(c.first.src)) != (got.Side[0].Packets == 1) {
				t.Errorf("%s: initiator %v with %d packets, want %v", c.name, got.Addr[0], got.Side[0].Packets, want)
			}
		}
	}
}

// The times of the handshake are measured unless it is unclear what answers
// what, and are in the record of the interval in which it ended.
func TestHandshake(t *testing.T) {
	syn, synAck, ack := handshakeOf[0], handshakeOf[1], handshakeOf[2]
	for _, c := range []struct {
		name           string
		segments       []timed
		server, client int64 // µs
	}{
		{"complete", handshakeOf, 2000, 1000},
		{"with data on the ACK", []timed{syn, synAck, {1000, seg(client, flagACK, 100, 500, 10)}}, 2000, 1000},
		{"no ACK", handshakeOf[:2], 2000, 0},
		{"SYN twice", []timed{syn, syn, synAck, ack}, 0, 0},
		{"SYN-ACK twice", []timed{syn, synAck, synAck, ack}, 2000, 0},
		{"SYN again after the SYN-ACK", []timed{syn, synAck, syn, ack}, 2000, 0},
		{"no SYN", []timed{synAck, ack}, 0, 0},
		{"no SYN-ACK", []timed{syn, ack}, 0, 0},
		{"at once", []timed{syn, {0, synAck.spec}, {0, ack.spec}}, 1, 1},
		{"time goes back", []timed{syn, {-100, synAck.spec}, ack}, 0, 0},
	} {
		r, session, now := record(t, nil), known(1), start
		for _, s := range c.segments {
			now += s.after * micro
			r.add(session, now, s.spec)
		}
		r.clock(start + 70*second)
		got := r.take()[0]
		if c.client == 0 && c.server != 0 && len(c.segments) == 2 {
			// It might still end, so it is in the last record.
			if got.ServerRTT != 0 {
				t.Errorf("%s: reported before its end", c.name)
			}
			r.add(session, start+71*second, seg(client, flagACK|flagRST, 100, 500, 0))
			got = r.end()[0]
		}
		if got.ServerRTT != c.server*micro || got.ClientRTT != c.client*micro {
			t.Errorf("%s: %d and %d ns, want %d and %d µs", c.name, got.ServerRTT, got.ClientRTT, c.server, c.client)
		}
	}
	r, session := record(t, nil), known(1)
	r.add(session, start+59*second, syn.spec)
	r.add(session, start+61*second, synAck.spec)
	r.add(session, start+62*second, ack.spec)
	r.add(session, start+121*second, ack.spec)
	var server []int64
	for _, f := range r.end() {
		server = append(server, f.ServerRTT)
	}
	if len(server) != 3 || server[0] != 0 || server[1] != 2*second || server[2] != 0 {
		t.Errorf("records of a handshake over two intervals report %d", server)
	}
}
