package session_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// More about the same tenure is the same session, which becomes the new one; what
// contradicts is another. An end alone changes nothing.
func TestLearnMore(t *testing.T) {
	base := learnt("tms-1", [6]byte{}, 100, 0)
	base.Workload.Service = "web"
	for _, tt := range []struct {
		name   string
		change func(e *session.Entry)
		same   bool // the Session is kept
		become bool
	}{
		{"nothing", func(*session.Entry) {}, true, false},
		{"empty is none", func(e *session.Entry) {
			e.Workload.Labels, e.Addresses = map[string]string{}, []packet.Addr{}
		}, true, false},
		{"an end", func(e *session.Entry) { e.Until = 500 }, true, false},
		{"a MAC address", func(e *session.Entry) { e.MAC = macA }, false, true},
		{"a task and a name", func(e *session.Entry) { e.Name, e.Workload.TaskARN = "web-1", "arn" }, false, true},
		{"an earlier begin", func(e *session.Entry) { e.From = 50 }, false, true},
		{"labels", func(e *session.Entry) { e.Workload.Labels = map[string]string{"a": "b"} }, false, true},
		{"more, and an end", func(e *session.Entry) { e.MAC, e.Until = macA, 500 }, false, true},
		{"another service", func(e *session.Entry) { e.Workload.Service = "db" }, false, false},
		{"less", func(e *session.Entry) { e.Workload.Service = "" }, false, false},
		{"another interface", func(e *session.Entry) { e.Workload.InterfaceID = "eni-x" }, false, false},
		{"another session", func(e *session.Entry) { e.Workload.SessionID = "tms-x" }, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := newTable(t, session.Config{})
			table.Learn([]session.Entry{base})
			before := table.Sessions()[0]
			next := base
			tt.change(&next)
			change := table.Learn([]session.Entry{next})
			after := table.Sessions()[0]
			if (before == after) != tt.same || before.Ended.Load() == tt.same || (change.Kept == 1) != tt.same {
				t.Errorf("change %+v, ended %v", change, before.Ended.Load())
			}
			if (before.Identified() == after) != (tt.same || tt.become) {
				t.Errorf("identified as %+v", before.Identified())
			}
			if after.Until.Load() != next.Until || after.Ended.Load() || !after.Learned || !after.Known {
				t.Errorf("now %+v", after)
			}
			if tt.become { // and on and on, without a circle
				table.Learn([]session.Entry{base})
				table.Learn([]session.Entry{next})
				before.Identified()
			}
		})
	}
}

// Of entries of one tenure the last counts, and the session of neither is lost.
func TestLearnTwice(t *testing.T) {
	table := newTable(t, session.Config{})
	first, last := learnt("a", macA, 0, 0), learnt("a", macA, 0, 0)
	last.Name = "last"
	for range 3 {
		table.Learn([]session.Entry{first, learnt("b", macB, 0, 0), last})
		if got := names(table.Sessions()); !slices.Equal(got, []string{"b", "last"}) {
			t.Errorf("sessions %v", got)
		}
	}
	if first.Name != "a" || len(table.Ended()) != 0 {
		t.Errorf("%+v, ended %v", first, names(table.Ended()))
	}
	if c := table.Learn(nil); c != (session.Change{Ended: 2}) {
		t.Errorf("%+v", c)
	}
}

func TestLearntNames(t *testing.T) {
	for name, want := range map[string]string{
		"web-01234567":                "web-01234567",
		"häfen/1 %":                   "häfen/1 %",
		"":                            "tms-1",
		"a\nb\x00":                    "a_b_",
		"a\xffb":                      "a_b",
		"vni-7":                       "vni-7-10.0.0.1",
		strings.Repeat("ä", 64):       strings.Repeat("ä", 64),
		"a" + strings.Repeat("ä", 64): "a" + strings.Repeat("ä", 63),
	} {
		table := newTable(t, session.Config{})
		e := learnt("a", macA, 0, 0)
		e.Name = name
		table.Learn([]session.Entry{e})
		if got := table.Sessions()[0].Name; got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestLookupOfLearntAllocatesNothing(t *testing.T) {
	table := newTable(t, session.Config{UnknownMax: 4, BySource: true})
	table.Learn([]session.Entry{learnt("a", macA, 100, 200), learnt("b", macB, 200, 0)})
	frames := []*packet.Frame{sent(150, macA), sent(250, macB), ethernet(150, bcast, router, peer, peer),
		sent(250, macA), arp(250, bcast, macA, own, peer), ethernet(50, router, router, addr("fd00::1"), addr("fd00::2"))}
	for _, f := range frames {
		table.Lookup(f)
	}
	for i, f := range frames {
		if n := testing.AllocsPerRun(100, func() { table.Lookup(f) }); n != 0 {
			t.Errorf("frame %d: %v allocations", i, n)
		}
	}
}

// strangers returns a table that keeps unknown senders apart, and what it was told
// of them.
func strangers(t *testing.T, maximum int) (*session.Table, *[]string) {
	var told []string
	return newTable(t, session.Config{UnknownMax: maximum, BySource: true, Stranger: func(s *packet.Session) {
		told = append(told, fmt.Sprintf("%s %x", s.Name, s.MAC[:2]))
	}}), &told
}

// Unknown senders are kept apart by source and interface, and each is told once.
func TestStrangers(t *testing.T) {
	table, told := strangers(t, 10)
	table.Learn([]session.Entry{learnt("a", macA, 100, 0)})
	ipv6 := func(mac [6]byte) *packet.Frame {
		return ethernet(150, router, mac, addr("fd00::1"), addr("fd00::2"))
	}
	var b, none *packet.Session
	for range 3 {
		for i, f := range []*packet.Frame{sent(150, macB), received(150, macB), arp(150, bcast, macB, own, peer), ipv6(macB)} {
			s, _ := table.Lookup(f)
			if b == nil {
				b = s
			}
			if s != b || s.Name != "vni-7-10.0.0.1" || s.Known || s.Since != 150 || s.Source != own || !s.ByMAC || s.MAC != macB {
				t.Errorf("frame %d: %+v", i, s)
			}
		}
		s, _ := table.Lookup(ipv6(router)) // whose it is nobody knows; it is not b's
		if none == nil {
			none = s
		}
		if s != none || s == b || s.Name != b.Name || s.ByMAC {
			t.Errorf("without own address: %+v", s)
		}
		if got := whose(t, table, sent(150, macA)); got != "a" {
			t.Errorf("known: %s", got)
		}
		other := sent(150, macB)
		other.VNI = 8
		if got := whose(t, table, other); got != "vni-8-10.0.0.1" {
			t.Errorf("another VNI: %s", got)
		}
	}
	if want := []string{"vni-7-10.0.0.1 0a02", "vni-7-10.0.0.1 0000", "vni-8-10.0.0.1 0a02"}; !slices.Equal(*told, want) {
		t.Errorf("told %v, want %v", *told, want)
	}
}

// Frames of two interfaces with one address, of which one worker is behind, make
// two sessions, not one for each frame.
func TestStrangersInterleaved(t *testing.T) {
	table, told := strangers(t, 10)
	a, _ := table.Lookup(sent(1, macA))
	b, _ := table.Lookup(sent(2, macB))
	for range 100 {
		if s, _ := table.Lookup(sent(1, macA)); s != a {
			t.Fatalf("a's frame: %+v", s)
		}
		if s, _ := table.Lookup(received(2, macB)); s != b {
			t.Fatalf("b's frame: %+v", s)
		}
	}
	if len(*told) != 2 {
		t.Errorf("told %v", *told)
	}
}

// A frame that does not tell its interface makes a stranger without one, and is the
// latest's once there is one.
func TestStrangersThatDoNotTell(t *testing.T) {
	table, _ := strangers(t, 10)
	untold := ethernet(1, bcast, router, peer, peer)
	none, _ := table.Lookup(untold)
	a, _ := table.Lookup(sent(1, macA))
	if none.ByMAC || a == none || a.MAC != macA {
		t.Errorf("first %+v, then %+v", none, a)
	}
	if s, _ := table.Lookup(untold); s != a {
		t.Errorf("behind a: %+v", s)
	}
	b, _ := table.Lookup(sent(1, macB))
	if s, _ := table.Lookup(untold); s != b {
		t.Errorf("behind b: %+v", s)
	}
}

// A frame without a source has room by VNI alone.
func TestStrangersWithoutSource(t *testing.T) {
	table, _ := strangers(t, 1)
	for vni, want := range []string{"vni-0", "unknown_limit"} {
		if got := whose(t, table, &packet.Frame{VNI: uint32(vni)}); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if got := whose(t, table, &packet.Frame{VNI: 1, Source: own}); got != "vni-1-10.0.0.1" {
		t.Errorf("with a source: %s", got)
	}
}

// Where there is no room by source there is room by VNI, and then none.
func TestStrangersLimit(t *testing.T) {
	table, told := strangers(t, 2)
	frame := func(vni uint32, last byte) *packet.Frame {
		return &packet.Frame{VNI: vni, Source: packet.AddrFrom4([4]byte{10, 0, 0, last})}
	}
	for _, step := range []struct {
		vni  uint32
		last byte
		want string
	}{
		{1, 1, "vni-1-10.0.0.1"}, {1, 2, "vni-1-10.0.0.2"}, {1, 1, "vni-1-10.0.0.1"},
		{1, 3, "vni-1"}, {1, 4, "vni-1"}, {2, 3, "vni-2"}, {3, 3, "unknown_limit"}, {1, 2, "vni-1-10.0.0.2"}, {2, 9, "vni-2"},
	} {
		if got := whose(t, table, frame(step.vni, step.last)); got != step.want {
			t.Errorf("vni %d from %d: %s, want %s", step.vni, step.last, got, step.want)
		}
	}
	if len(*told) != 4 || len(table.Sessions()) != 4 {
		t.Errorf("told %v of %v", *told, names(table.Sessions()))
	}
	if got := whose(t, table, &packet.Frame{VNI: 2}); got != "vni-2" {
		t.Errorf("no source: %s", got)
	}
}

// One sender with any number of MAC addresses takes what room there is, once.
func TestManyMACs(t *testing.T) {
	table, told := strangers(t, 256)
	for n := range 50_000 {
		table.Lookup(sent(1, [6]byte{2, 0, 0, byte(n >> 16), byte(n >> 8), byte(n)}))
	}
	if len(*told) != 257 || len(table.Sessions()) != 257 { // one is of the VNI alone
		t.Errorf("told %d times, %d sessions", len(*told), len(table.Sessions()))
	}
}

// An unknown session becomes the learnt one that was behind it when it began.
func TestLearntFillsUnknown(t *testing.T) {
	now := time.Now().UnixNano()
	other := learnt("other", macA, now-10, 0)
	other.Source = peer
	noMAC := learnt("noMAC", [6]byte{}, now-10, 0)
	for _, tt := range []struct {
		name    string
		first   *packet.Frame
		listed  []session.Entry
		learnt  []session.Entry
		becomes string // "" if it goes on, - if it ends
	}{
		{"the same interface", sent(now, macA), nil, []session.Entry{learnt("a", macA, now-10, 0)}, "a"},
		{"just begun", sent(now, macA), nil, []session.Entry{learnt("a", macA, now, 0)}, "a"},
		{"ended meanwhile", sent(now, macA), nil, []session.Entry{learnt("a", macA, now-10, now+1)}, "a"},
		{"not begun", sent(now, macA), nil, []session.Entry{learnt("a", macA, now+1, 0)}, ""},
		{"ended before", sent(now, macA), nil, []session.Entry{learnt("a", macA, now-10, now)}, ""},
		{"another interface", sent(now, macA), nil, []session.Entry{learnt("b", macB, now-10, 0)}, ""},
		{"another source", sent(now, macA), nil, []session.Entry{other}, ""},
		{"no MAC address is learnt", sent(now, macA), nil, []session.Entry{noMAC}, "noMAC"},
		{"no MAC address was seen", ethernet(now, bcast, router, peer, peer), nil, []session.Entry{learnt("a", macA, now-10, 0)}, "a"},
		{"one of two by MAC", sent(now, macA), nil, []session.Entry{learnt("b", macB, now-5, 0), learnt("a", macA, now-10, 0)}, "a"},
		{"one of two by time", ethernet(now, bcast, router, peer, peer), nil, []session.Entry{learnt("b", macB, now+5, 0), learnt("a", macA, now-10, now+5)}, "a"},
		{"the file explains it", sent(now, macA), []session.Entry{{Name: "listed", VNI: 7}}, []session.Entry{learnt("a", macA, now-10, 0)}, "-"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table, told := strangers(t, 2)
			s, _ := table.Lookup(tt.first)
			table.Replace(tt.listed)
			change := table.Learn(tt.learnt)
			next := s.Identified()
			switch {
			case tt.becomes == "":
				if again, _ := table.Lookup(tt.first); next != s || s.Ended.Load() || again != s || change.Ended != 0 {
					t.Errorf("%+v, ended %v, then %s", next, s.Ended.Load(), again.Name)
				}
				return
			case tt.becomes == "-":
				if next != s || !s.Ended.Load() {
					t.Errorf("became %s, ended %v", next.Name, s.Ended.Load())
				}
				return
			case next.Name != tt.becomes || !s.Ended.Load() || change.Ended != 1 || next.Ended.Load():
				t.Errorf("became %s, ended %v, %+v", next.Name, s.Ended.Load(), change)
			}
			if got, _ := table.Lookup(tt.first); got != next || len(*told) != 1 {
				t.Errorf("then %s, told %v", got.Name, *told)
			}
			// Its room is another's.
			for i := range byte(2) {
				f := sent(now, macA)
				f.VNI, f.Source[15] = 9, i
				if s, _ := table.Lookup(f); s == nil || s.Source.IsZero() {
					t.Errorf("there is no room: %+v", s)
				}
			}
		})
	}
}

// What the session file explains by now is not said to be another's.
func TestLearntDoesNotFillWhatTheFileExplains(t *testing.T) {
	table, _ := strangers(t, 1)
	now := time.Now().UnixNano()
	listed := session.Entry{Name: "listed", VNI: 7, From: now - 10, Until: now}
	table.Replace([]session.Entry{listed})
	s, _ := table.Lookup(sent(now, macA))
	listed.Until = now + 10
	table.Replace([]session.Entry{listed})
	table.Learn([]session.Entry{learnt("a", macA, now-20, 0)})
	if s.Known || s.Identified() != s {
		t.Errorf("%+v became %+v", s, s.Identified())
	}
}

// A swap ends unknown senders that had no frame for 10 minutes.
func TestSilentStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, _ := strangers(t, 1)
		now := func() int64 { return time.Now().UnixNano() }
		a, _ := table.Lookup(sent(now(), macA))
		time.Sleep(10*time.Minute - 1)
		table.Learn(nil)
		if s, _ := table.Lookup(sent(now(), macA)); s != a || a.Ended.Load() {
			t.Errorf("before: %s, ended %v", s.Name, a.Ended.Load())
		}
		a.Tallies[0].LastSeen.Store(now())
		time.Sleep(time.Minute)
		table.Learn(nil)
		if a.Ended.Load() {
			t.Error("one with frames ended")
		}
		time.Sleep(9 * time.Minute)
		table.Learn(nil)
		if !a.Ended.Load() || a.Identified() != a {
			t.Error("a silent one did not end")
		}
		if s, _ := table.Lookup(sent(now(), macB)); !s.ByMAC {
			t.Errorf("its room is not free: %+v", s)
		}
	})
}
