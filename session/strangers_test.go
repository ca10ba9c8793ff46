package session_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// strangers returns a table that keeps unknown senders apart, and what it was told
// of them.
func strangers(t *testing.T, maximum int) (*session.Table, *[]string) {
	var told []string
	return newTable(t, session.Config{UnknownMax: maximum, BySource: maximum, Stranger: func(s *packet.Session) {
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
