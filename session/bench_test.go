package session_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// sequence is drawn beforehand, and long enough that neither the branch
// predictor nor the caches learn it.
type asked struct {
	vni    uint32
	source packet.Addr
}

func sequence(entries []session.Entry) []asked {
	random := rand.New(rand.NewPCG(1, 2))
	s := make([]asked, 1<<16)
	for i := range s {
		e := &entries[random.IntN(len(entries))]
		s[i] = asked{e.VNI, e.Source}
		if e.Source.IsZero() {
			s[i].source = packet.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		}
	}
	return s
}

// BenchmarkLookup asks for sessions in random order. What 10000 costs more
// than 1 is the price of many sessions: at most 15 ns is wanted.
func BenchmarkLookup(b *testing.B) {
	for _, kind := range []string{"vni", "ipv4", "ipv6"} {
		for _, n := range []int{1, 10_000} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				entries := many(kind, n)
				t := newTable(b, session.Config{UnknownMax: 256})
				t.Replace(entries)
				s := sequence(entries)
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					a := &s[i&(len(s)-1)]
					i++
					if _, reason := t.Lookup(&packet.Frame{VNI: a.vni, Source: a.source}); reason != packet.None {
						b.Fatal(reason)
					}
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
