package filter_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/packet"
)

// typical returns n rules of a direction as people write them: most of one
// protocol and port, the last for all.
func typical(n int, d packet.Direction) []filter.Rule {
	list := make([]filter.Rule, n)
	for i := range list {
		list[i] = of(6, all, filter.Ports{From: uint16(8000 + i), To: uint16(8000 + i)}, rule(i+1, accept, d, any4, "10.0.0.0/16"))
		if i%3 == 1 {
			list[i] = rule(i+1, reject, d, fmt.Sprintf("10.%d.0.0/16", i%200+1), any4)
		}
	}
	list[n-1] = rule(n, accept, d, any4, any4)
	return list
}

// typical6 is typical for IPv6.
func typical6(n int, d packet.Direction) []filter.Rule {
	list := typical(n, d)
	for i := range list {
		list[i].Source, list[i].Destination = netip.MustParsePrefix(any6), netip.MustParsePrefix("2001:db8::/56")
		if i%3 == 1 {
			list[i].Source = netip.MustParsePrefix(fmt.Sprintf("2001:db8:0:%x::/64", i+1))
		}
	}
	return list
}

// traffic returns frames of many flows, none of which but the last rule matches.
func traffic(v6 bool) []*packet.Frame {
	d := rand.New(rand.NewPCG(3, 4))
	frames := make([]*packet.Frame, 64)
	for i := range frames {
		direction, from, to := in, fmt.Sprintf("203.0.%d.%d:%d", d.IntN(256), d.IntN(256), 1024+d.IntN(6000)), "10.0.1.163:443"
		if v6 {
			from, to = fmt.Sprintf("[2001:db8:9::%x]:%d", d.IntN(65536), 1024+d.IntN(6000)), "[2001:db8::163]:443"
		}
		if d.IntN(2) == 0 {
			direction = out
		}
		frames[i] = ported(direction, uint8([]int{6, 6, 6, 17}[d.IntN(4)]), from, to)
	}
	return frames
}

// BenchmarkAccepts is what a frame costs, over what the loop alone does (rules=0
// has no rule, empty is the loop).
func BenchmarkAccepts(b *testing.B) {
	v4, v6 := traffic(false), traffic(true)
	dns := []*packet.Frame{udp(out, "10.0.1.163:40000", "10.0.0.2:53"), udp(in, "8.8.8.8:53", "10.0.1.163:40000")}
	run := func(name string, frames []*packet.Frame, accepts func(*packet.Frame) bool) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for i := 0; b.Loop(); i++ {
				if accepts(frames[i&(len(frames)-1)]) {
					n++
				}
			}
		})
	}
	run("empty", v4, func(f *packet.Frame) bool { return f.Direction == in })
	run("rules=0", v4, compile(b, filter.Filter{}).Accepts)
	for _, n := range []int{1, 10, 100, 1000} {
		four := compile(b, rules(append(typical(n, in), typical(n, out)...)...))
		run(fmt.Sprintf("rules=%d", n), v4, four.Accepts)
		if n == 10 {
			run("rules=10,dns", dns, four.Accepts)
		}
		run(fmt.Sprintf("rules=%d,ipv6", n), v6, compile(b, rules(append(typical6(n, in), typical6(n, out)...)...)).Accepts)
	}
}

// BenchmarkKeep is what the policy of a session costs a frame.
func BenchmarkKeep(b *testing.B) {
	list := []filter.KeepRule{
		{Match: everything, Prefix: netip.MustParsePrefix("10.9.0.0/16"), Keep: filter.None},
		{Match: everything, Ports: filter.Ports{From: 5432, To: 5432}, Keep: filter.Headers},
	}
	p, frames := policy(b, list...), traffic(false)
	session := p.Rules(web)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.Of(session, frames[i&63])
	}
}

// TestNoAllocations: looking at a frame allocates nothing, whatever it is.
func TestNoAllocations(t *testing.T) {
	frames := append(traffic(false), traffic(true)...)
	frames = append(frames, udp(both, "10.0.1.163:40000", "10.0.0.2:53"), later(udp(both, "10.0.1.163:1", "10.0.0.2:1")))
	program := compile(t, rules(append(typical(10, in), typical6(10, out)...)...))
	keep := policy(t, filter.KeepRule{Match: everything, Prefix: netip.MustParsePrefix(any6), Ports: https, Keep: filter.None})
	if n := testing.AllocsPerRun(10, func() {
		for _, f := range frames {
			program.Accepts(f)
			keep.Of(keep.Rules(f.Session), f)
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d frames", n, len(frames))
	}
}
