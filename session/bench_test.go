package session_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// An asked is what a frame is looked up by.
type asked struct {
	vni    uint32
	source packet.Addr
	mac    [6]byte
	time   int64
}

// sequence is drawn beforehand, and long enough that neither the branch predictor
// nor the caches learn it.
func sequence(entries []session.Entry) []asked {
	random := rand.New(rand.NewPCG(1, 2))
	s := make([]asked, 1<<16)
	for i := range s {
		e := &entries[random.IntN(len(entries))]
		s[i] = asked{e.VNI, e.Source, e.MAC, e.From}
		if e.Source.IsZero() {
			s[i].source = packet.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		}
	}
	return s
}

// lookup asks for frames with Ethernet headers in turn. One frame is used again and
// again, as the bytes of a batch are at hand when it is looked up.
func lookup(b *testing.B, t *session.Table, sequence []asked) {
	b.Helper()
	f := sent(0, macA)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		a := &sequence[i&(len(sequence)-1)]
		i++
		f.VNI, f.Source, f.Time = a.vni, a.source, a.time
		copy(f.Data[6:12], a.mac[:])
		if _, reason := t.Lookup(f); reason != packet.None {
			b.Fatal(reason)
		}
	}
}

// BenchmarkLookup asks for sessions in random order: of the session file, and
// learnt ones, whose frames have their MAC addresses. What 10000 costs more than 1
// is the price of many sessions: at most 15 ns is wanted.
func BenchmarkLookup(b *testing.B) {
	for _, kind := range []string{"vni", "ipv4", "ipv6", "learnt"} {
		for _, n := range []int{1, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				if kind != "learnt" {
					t := newTable(b, session.Config{UnknownMax: 256})
					entries := many(kind, n)
					t.Replace(entries)
					lookup(b, t, sequence(entries))
					return
				}
				t := newTable(b, session.Config{UnknownMax: 256, BySource: 20_000})
				entries := many("ipv4", n)
				withMACs(entries)
				t.Learn(entries)
				lookup(b, t, sequence(entries))
			})
		}
	}
}

// withMACs gives each entry a MAC address.
func withMACs(entries []session.Entry) {
	for i := range entries {
		entries[i].MAC = [6]byte{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
	}
}

// BenchmarkLookupTenures is what frames of the past of one VNI and source cost: of
// tenures one after the other, and of as many that never ended.
func BenchmarkLookupTenures(b *testing.B) {
	for _, kind := range []string{"ended", "open"} {
		for _, n := range []int{1, 2, 100, 5000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				t := newTable(b, session.Config{UnknownMax: 256, BySource: 20_000})
				entries := make([]session.Entry, n)
				for i := range entries {
					entries[i] = learnt(fmt.Sprint(i), macA, int64(100*i), 0)
					if kind == "ended" {
						entries[i].Until = int64(100*i + 100)
					}
				}
				t.Learn(entries)
				lookup(b, t, sequence(entries))
			})
		}
	}
}

// BenchmarkSwap is what a swap costs that changes one session: of different VNIs,
// and of one.
func BenchmarkSwap(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		for _, kind := range []string{"vnis", "tenures"} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				entries := many("ipv4", n)
				withMACs(entries)
				for i := range entries {
					entries[i].Workload.InterfaceID = fmt.Sprint(i)
					if kind == "tenures" {
						entries[i].VNI, entries[i].Source, entries[i].From = 7, own, int64(i)
					}
				}
				t := newTable(b, session.Config{})
				i := 0
				for b.Loop() {
					entries[i%n].Name += "'"
					i++
					t.Learn(entries)
				}
			})
		}
	}
}

// BenchmarkLookupUnknown is what a sender of VNIs beyond the limit costs.
func BenchmarkLookupUnknown(b *testing.B) {
	t := newTable(b, session.Config{UnknownMax: 256})
	t.Replace(many("vni", 10_000))
	b.ReportAllocs()
	vni := uint32(0)
	for b.Loop() {
		vni = (vni + 1) & session.MaxVNI
		t.Lookup(&packet.Frame{VNI: vni, Source: packet.Addr{}})
	}
}

// BenchmarkSaw is what announcing costs a frame whose sender was announced.
func BenchmarkSaw(b *testing.B) {
	for _, n := range []int{1, 4000, 10_000} { // the last is beyond the limit
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := session.NewAnnouncer(quiet)
			random := rand.New(rand.NewPCG(1, 2))
			frames := make([]packet.Frame, n)
			for i := range frames {
				frames[i] = packet.Frame{Session: &packet.Session{ID: uint32(i) + 1}, Source: addr("10.0.0.1")}
				w.Saw(&frames[i])
			}
			order := random.Perm(1 << 14)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				w.Saw(&frames[order[i%len(order)]%n])
				i++
			}
		})
	}
}
