package session_test

import (
	"slices"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// bare returns a frame as a capture file of inner frames has it: without an outer
// source.
func bare(f *packet.Frame) *packet.Frame {
	f.Source = packet.Addr{}
	return f
}

// elsewhere returns a learnt entry of another source.
func elsewhere(name string, mac [6]byte, from, until int64) session.Entry {
	e := learnt(name, mac, from, until)
	e.Source = peer
	return e
}

// A bare frame is of the learnt session that held its time and has one of its MAC
// addresses, whatever the session's source.
func TestLookupOfBareFrames(t *testing.T) {
	macC, macD := [6]byte{0x0a, 3}, [6]byte{0x0a, 4}
	otherVNI := learnt("other", macD, 0, 0)
	otherVNI.VNI = 8
	entries := []session.Entry{ // of own three in turn, of peer one at the same time
		learnt("first", macA, 100, 200),
		elsewhere("beside", macC, 150, 350),
		learnt("second", macB, 300, 400),
		learnt("again", macA, 400, 0),
		learnt("no MAC", [6]byte{}, 500, 0),
		otherVNI,
	}
	backwards := slices.Clone(entries)
	slices.Reverse(backwards)
	const unknown = "vni-7"
	for _, tt := range []struct {
		name  string
		frame *packet.Frame
		want  string
	}{
		{"before it began", sent(99, macA), unknown},
		{"as it began", sent(100, macA), "first"},
		{"received", received(100, macA), "first"},
		{"two at the same time", sent(160, macA), "first"},
		{"two at the same time, the other", received(160, macC), "beside"},
		{"between the two, to the later one", ethernet(160, macC, macA, own, peer), "beside"},
		{"between the two, from the later one", ethernet(160, macA, macC, peer, own), "beside"},
		{"before it ended", sent(199, macA), "first"},
		{"as it ended", sent(200, macA), unknown},
		{"of the next one, too early", sent(299, macB), unknown},
		{"in turn", sent(300, macB), "second"},
		{"in turn, between the two", ethernet(320, macB, macC, peer, own), "second"},
		{"of the one before", sent(320, macA), unknown},
		{"a MAC address again", received(400, macA), "again"},
		{"the last second ended", sent(400, macB), unknown},
		{"a session without MAC address has none", sent(600, macB), unknown},
		{"of another interface", sent(160, macD), unknown},
		{"a broadcast that it sends", ethernet(100, bcast, macA, own, peer), "first"},
		{"a broadcast of another one", ethernet(100, bcast, router, peer, own), unknown},
		{"an ARP request for its address", arp(100, bcast, router, peer, own), unknown},
		{"without an Ethernet header", ethernet(100, [6]byte{}, [6]byte{}, own, peer), unknown},
		{"cut", &packet.Frame{VNI: 7, Time: 100, Data: macA[:]}, unknown},
		{"of another VNI", func() *packet.Frame { f := sent(100, macD); f.VNI = 8; return f }(), "other"},
	} {
		for _, order := range [][]session.Entry{entries, backwards} {
			table := newTable(t, session.Config{UnknownMax: 2, Bare: true})
			table.Learn(order)
			if got := whose(t, table, bare(tt.frame)); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		}
	}
	table := newTable(t, session.Config{UnknownMax: 1})
	table.Learn(entries)
	if got := whose(t, table, bare(sent(100, macA))); got != unknown {
		t.Errorf("where frames are not bare: %s", got)
	}
}

// What else there is goes on as it did: the session file goes first, a session
// without a source last, of equals the first one has the frame, and a frame with a
// source is of nobody else.
func TestBareAmongOthers(t *testing.T) {
	table := newTable(t, session.Config{UnknownMax: 1, Bare: true})
	anyone := elsewhere("anyone", [6]byte{}, 0, 0)
	anyone.Source = packet.Addr{}
	table.Learn([]session.Entry{elsewhere("one", macA, 100, 0), learnt("two", macA, 100, 0), anyone})
	stray := sent(100, macA)
	stray.Source = addr("10.0.0.7")
	for frame, want := range map[*packet.Frame]string{
		bare(sent(100, macA)): "one",
		bare(sent(100, macB)): "anyone",
		sent(100, macA):       "two",
		sent(99, macA):        "anyone",
		stray:                 "anyone",
	} {
		if got := whose(t, table, frame); got != want {
			t.Errorf("at %d from %v: %s, want %s", frame.Time, frame.Source, got, want)
		}
	}
	f := bare(sent(100, macA))
	if n := testing.AllocsPerRun(100, func() { table.Lookup(f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	table.Replace([]session.Entry{{Name: "listed", VNI: 7, From: 100, Until: 200}, {Name: "of another", VNI: 7, Source: addr("10.0.0.8")}})
	for time, want := range map[int64]string{150: "listed", 200: "one"} {
		if got := whose(t, table, bare(sent(time, macA))); got != want {
			t.Errorf("at %d: %s, want %s", time, got, want)
		}
	}
}
