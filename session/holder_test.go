package session_test

import (
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

var (
	macA   = [6]byte{0x0a, 1}
	macB   = [6]byte{0x0a, 2}
	router = [6]byte{0x0a, 0xff}
	bcast  = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	own    = addr("10.0.0.1") // the outer source
	peer   = addr("10.0.0.9")
)

// ethernet returns a frame from own: its MAC addresses, and an IP packet between
// two addresses of one family, or none.
func ethernet(time int64, dst, src [6]byte, from, to packet.Addr) *packet.Frame {
	d := append(append(make([]byte, 0, 64), dst[:]...), src[:]...)
	switch {
	case from == packet.Addr{}:
		d = append(d, 0x88, 0xcc)
	case from.Is4():
		d = append(append(d, 8, 0), make([]byte, 20)...)
		copy(d[26:], from[12:])
		copy(d[30:], to[12:])
	default:
		d = append(append(d, 0x86, 0xdd), make([]byte, 40)...)
		copy(d[22:], from[:])
		copy(d[38:], to[:])
	}
	return &packet.Frame{VNI: 7, Source: own, Time: time, Data: d, Length: len(d)}
}

func arp(time int64, dst, src [6]byte, sender, target packet.Addr) *packet.Frame {
	f := ethernet(time, dst, src, packet.Addr{}, packet.Addr{})
	f.Data = append(append(f.Data[:12], 8, 6), make([]byte, 28)...)
	copy(f.Data[28:], sender[12:])
	copy(f.Data[38:], target[12:])
	return f
}

// sent and received return a frame of the interface with the MAC address.
func sent(time int64, mac [6]byte) *packet.Frame { return ethernet(time, router, mac, own, peer) }

func received(time int64, mac [6]byte) *packet.Frame { return ethernet(time, mac, router, peer, own) }

// learnt returns an entry of own, held by an interface.
func learnt(name string, mac [6]byte, from, until int64) session.Entry {
	return session.Entry{Name: name, VNI: 7, Source: own, MAC: mac, From: from, Until: until, Learned: true,
		Workload: packet.Workload{InterfaceID: "eni-" + name, SessionID: "tms-1"}}
}

func whose(t *testing.T, table *session.Table, f *packet.Frame) string {
	t.Helper()
	s, r := table.Lookup(f)
	switch {
	case s == nil && r != packet.None:
		return r.String()
	case s == nil || r != packet.None || s.VNI != f.VNI&session.MaxVNI:
		t.Fatalf("session %+v with reason %v", s, r)
	}
	return s.Name
}

// A frame is that of the tenure of its time, from its beginning on, before its end.
func TestLookupByTime(t *testing.T) {
	for _, learned := range []bool{false, true} {
		for _, source := range []packet.Addr{{}, own} {
			entries := []session.Entry{
				{Name: "b", VNI: 7, Source: source, From: 200, Until: 300},
				{Name: "a", VNI: 7, Source: source, From: 100, Until: 200},
				{Name: "c", VNI: 7, Source: source, From: 400},
			}
			table := newTable(t, session.Config{UnknownMax: 1})
			if learned {
				for i := range entries {
					entries[i].Workload.InterfaceID = entries[i].Name
				}
				table.Learn(entries)
			} else {
				table.Replace(entries)
			}
			for time, want := range map[int64]string{
				0: "vni-7", 99: "vni-7", 100: "a", 199: "a", 200: "b", 299: "b", 300: "vni-7", 399: "vni-7", 400: "c", 1 << 62: "c",
			} {
				if got := whose(t, table, &packet.Frame{VNI: 7, Source: own, Time: time}); got != want {
					t.Errorf("learnt %v, at %d: %s, want %s", learned, time, got, want)
				}
			}
			if n := len(table.Sessions()); n != 4 {
				t.Errorf("%d sessions", n)
			}
		}
	}
}

// An interface's frames have its MAC address. What has another is another's, but
// for frames that do not tell.
func TestLookupByMAC(t *testing.T) {
	tests := []struct {
		name  string
		frame *packet.Frame
		want  string
	}{
		{"sent", sent(5, macA), "a"},
		{"received", received(5, macA), "a"},
		{"passed on, sent", ethernet(5, router, macA, peer, peer), "a"},
		{"passed on, received", ethernet(5, macA, router, peer, peer), "a"},
		{"IPv6, sent", ethernet(5, router, macA, addr("fd00::1"), addr("fd00::2")), "a"},
		{"another's, sent", sent(5, macB), "vni-7"},
		{"another's, received", received(5, macB), "vni-7"},
		{"another's, IPv6", ethernet(5, router, macB, addr("fd00::1"), addr("fd00::2")), "vni-7"},
		{"another's, not IP", ethernet(5, router, macB, packet.Addr{}, packet.Addr{}), "vni-7"},
		{"broadcast, sent", ethernet(5, bcast, macA, own, peer), "a"},
		{"broadcast, of another sender", ethernet(5, bcast, router, peer, peer), "a"},
		{"broadcast, sent by another with the address", ethernet(5, bcast, macB, own, peer), "vni-7"},
		{"multicast, IPv6", ethernet(5, [6]byte{0x33, 0x33}, router, addr("fd00::2"), addr("ff02::1")), "a"},
		{"ARP, who has", arp(5, bcast, macA, own, peer), "a"},
		{"ARP, who has, of another", arp(5, bcast, router, peer, own), "a"},
		{"ARP, who has, by another with the address", arp(5, bcast, macB, own, peer), "vni-7"},
		{"ARP, answer", arp(5, router, macA, own, peer), "a"},
		{"ARP, another's answer", arp(5, router, macB, own, peer), "vni-7"},
		{"bare IP", ethernet(5, [6]byte{}, [6]byte{}, own, peer), "a"},
		{"cut within the MAC addresses", &packet.Frame{VNI: 7, Source: own, Time: 5, Data: make([]byte, 13)}, "a"},
		{"cut behind them", &packet.Frame{VNI: 7, Source: own, Time: 5, Data: sent(5, macB).Data[:14]}, "vni-7"},
		{"broadcast, cut in the IP header", &packet.Frame{VNI: 7, Source: own, Time: 5, Data: ethernet(5, bcast, macB, own, peer).Data[:33]}, "a"},
		{"nothing", &packet.Frame{VNI: 7, Source: own, Time: 5}, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := newTable(t, session.Config{UnknownMax: 1})
			table.Learn([]session.Entry{learnt("a", macA, 0, 0)})
			if got := whose(t, table, tt.frame); got != tt.want {
				t.Errorf("alone: %s, want %s", got, tt.want)
			}
			// Where the MAC address is not known, time alone tells.
			table.Learn([]session.Entry{learnt("a", [6]byte{}, 0, 0)})
			if got := whose(t, table, tt.frame); got != "a" {
				t.Errorf("without a MAC address: %s", got)
			}
			// With the other's tenure, an earlier one that has not ended, its
			// frames are its; what does not tell is the later one's.
			table.Learn([]session.Entry{learnt("b", macB, 0, 0), learnt("a", macA, 4, 0)})
			if got := whose(t, table, tt.frame); got != strings.Replace(tt.want, "vni-7", "b", 1) {
				t.Errorf("beside another: %s", got)
			}
			// An entry of the session file is not told by MAC.
			listed := learnt("listed", macB, 0, 0)
			listed.Learned = false
			table.Replace([]session.Entry{listed})
			if got := whose(t, table, tt.frame); got != "listed" {
				t.Errorf("of the session file: %s", got)
			}
		})
	}
}

// Of several tenures at the same time the one that began last has what does not
// tell, whatever was looked up before.
func TestLookupOverlapping(t *testing.T) {
	table := newTable(t, session.Config{UnknownMax: 1})
	table.Learn([]session.Entry{
		learnt("long", [6]byte{}, 100, 1000), learnt("short", [6]byte{}, 200, 300), learnt("mac", macA, 250, 260), learnt("next", macB, 900, 2000),
	})
	for range 2 {
		for _, step := range []struct {
			time int64
			mac  [6]byte
			want string
		}{
			{150, macA, "long"}, {200, macA, "short"}, {250, macA, "mac"}, {250, macB, "short"}, {260, macA, "short"},
			{300, macA, "long"}, {899, macB, "long"}, {900, macB, "next"}, {900, macA, "long"}, {1000, macB, "next"},
			{1000, macA, "vni-7"}, {2000, macB, "vni-7"}, {99, macA, "vni-7"},
		} {
			if got := whose(t, table, sent(step.time, step.mac)); got != step.want {
				t.Errorf("at %d of %x: %s, want %s", step.time, step.mac[:2], got, step.want)
			}
		}
	}
	if got := whose(t, table, ethernet(255, bcast, router, peer, peer)); got != "mac" {
		t.Errorf("broadcast: %s", got)
	}
}

// Of tenures that began at the same time, such as several mirror sessions of one
// interface, the one that was given first has the frames, whatever they tell.
func TestLookupOfEqualsTakesTheFirst(t *testing.T) {
	for _, mac := range [][6]byte{macA, {}} {
		first, second := learnt("first", mac, 100, 0), learnt("second", mac, 100, 0)
		second.Workload.InterfaceID, second.Workload.SessionID = first.Workload.InterfaceID, "tms-2"
		earlier := learnt("earlier", mac, 50, 0)
		for _, order := range [][]session.Entry{{first, second}, {second, first}, {first, earlier, second}} {
			table := newTable(t, session.Config{UnknownMax: 1})
			table.Learn(order)
			for i, f := range []*packet.Frame{sent(150, macA), received(150, macA), ethernet(150, bcast, router, peer, peer)} {
				if got := whose(t, table, f); got != order[0].Name {
					t.Errorf("frame %d of %x: %s, want %s", i, mac[:2], got, order[0].Name)
				}
			}
		}
	}
}

// What the session file explains is not learnt, as long as it explains it.
func TestFileWins(t *testing.T) {
	listed := func(source packet.Addr, from, until int64) session.Entry {
		return session.Entry{Name: "listed", VNI: 7, Source: source, From: from, Until: until}
	}
	for _, tt := range []struct {
		name     string
		entry    session.Entry
		sessions int
		at       map[int64]string
	}{
		{"always", listed(own, 0, 0), 1, map[int64]string{150: "listed", 250: "listed"}},
		{"of every source", listed(packet.Addr{}, 0, 0), 1, map[int64]string{150: "listed"}},
		{"of another source", listed(peer, 0, 0), 2, map[int64]string{150: "learnt"}},
		{"for just that time", listed(own, 100, 200), 1, map[int64]string{150: "listed", 250: "unknown_limit"}},
		{"until it begins", listed(own, 0, 100), 2, map[int64]string{99: "listed", 100: "learnt"}},
		{"in the middle", listed(own, 120, 140), 2, map[int64]string{119: "learnt", 120: "listed", 139: "listed", 140: "learnt"}},
		{"in the middle, of every source", listed(packet.Addr{}, 120, 140), 2, map[int64]string{119: "learnt", 120: "listed", 140: "learnt"}},
	} {
		table := newTable(t, session.Config{})
		table.Replace([]session.Entry{tt.entry})
		table.Learn([]session.Entry{learnt("learnt", macA, 100, 200)})
		if n := len(table.Sessions()); n != tt.sessions {
			t.Errorf("%s: %d sessions", tt.name, n)
		}
		for time, want := range tt.at {
			if got := whose(t, table, sent(time, macA)); got != want {
				t.Errorf("%s: at %d: %s, want %s", tt.name, time, got, want)
			}
		}
		// The file goes, the learnt one is there again.
		table.Replace(nil)
		if got := whose(t, table, sent(150, macA)); got != "learnt" || len(table.Sessions()) != 1 {
			t.Errorf("%s: without the file: %s of %v", tt.name, got, names(table.Sessions()))
		}
	}
}
