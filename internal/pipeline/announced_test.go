package pipeline

import (
	"testing"

	"github.com/periscope-collector/periscope/internal/discovery"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
	"github.com/periscope-collector/periscope/session/announce"
	"github.com/periscope-collector/periscope/tunnel"
)

// Announcements are heard of senders that nobody else explains, also where these
// are not delivered, and are frames like any other.
func TestWhoIsHeard(t *testing.T) {
	mac := [6]byte{0x0a, 1}
	frame, err := announce.Append(nil, mac, &session.Entry{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	other := append([]byte(nil), frame...)
	other[13]++
	tagged := append(append(append([]byte(nil), frame[:12]...), 0x81, 0, 0, 1), frame[12:]...)
	learnt := session.Entry{Name: "task", VNI: 7, Source: outer, MAC: mac, Learned: true}
	said := learnt
	said.Announced = true
	for _, tt := range []struct {
		name      string
		frame     []byte
		policy    session.Policy
		room      int
		listed    []session.Entry
		learnt    []session.Entry
		heard     uint64
		delivered uint64
	}{
		{"unknown", frame, session.Keep, 1, nil, nil, 1, 1},
		{"unknown, and dropped", frame, session.Drop, 1, nil, nil, 1, 0},
		{"unknown, and no room", frame, session.Keep, 0, nil, nil, 1, 0},
		{"announced", frame, session.Keep, 1, nil, []session.Entry{said}, 1, 1},
		{"of AWS", frame, session.Keep, 1, nil, []session.Entry{learnt}, 0, 1},
		{"of the session file", frame, session.Keep, 1, []session.Entry{{Name: "file", VNI: 7}}, nil, 0, 1},
		{"tagged", tagged, session.Keep, 1, nil, nil, 1, 1}, // and cannot be read then
		{"another EtherType", other, session.Keep, 1, nil, nil, 0, 1},
		{"another EtherType, dropped", other, session.Drop, 1, nil, nil, 0, 0},
		{"cut before it, dropped", frame[:13], session.Drop, 1, nil, nil, 0, 0},
		{"a header alone", frame[:14], session.Keep, 1, nil, nil, 1, 1},
	} {
		table := session.New(session.Config{Workers: 1, Unknown: tt.policy, UnknownMax: tt.room, Log: discard})
		table.Replace(tt.listed)
		table.Learn(tt.learnt)
		var heard uint64
		p, err := New(Config{Workers: 1, Sessions: table, Log: discard, Hear: func(f *packet.Frame) {
			if heard++; f.VNI != 7 || f.Source != outer {
				t.Errorf("%s: heard of %d, %s", tt.name, f.VNI, f.Source)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(t.Context(), newMemorySource(1, [][]byte{append(tunnel.AppendVXLAN(nil, 7), tt.frame...)})); err != nil {
			t.Fatal(err)
		}
		if l := p.Ledger(); heard != tt.heard || l.Delivered.Packets != tt.delivered || !l.Balanced {
			t.Errorf("%s: heard %d, want %d; delivered %d, want %d", tt.name, heard, tt.heard, l.Delivered.Packets, tt.delivered)
		}
	}
}

// To hear an announcement takes no memory, however often one comes.
func TestHearAllocatesNothing(t *testing.T) {
	d := discovery.New(discovery.Config{Announced: true, Table: session.New(session.Config{Workers: 1, Log: discard}), Log: discard})
	frame, err := announce.Append(nil, [6]byte{2}, &session.Entry{Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	f := &packet.Frame{VNI: 7, Source: outer, Data: frame}
	if n := testing.AllocsPerRun(1000, func() { d.Hear(f) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if got := d.Announcements(); got["queue_full"] == 0 {
		t.Error("the queue was never full:", got)
	}
}
