package bench

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/sink"
)

// BenchmarkRules is BenchmarkPath's count with a sink that does nothing, and rules:
//
//   - none: no rule;
//   - keep: ten rules about what to keep, of which the last one counts: headers;
//   - filter: the sessions have a filter of ten rules in each direction, of which
//     the last one accepts;
//   - both: these, and the filter is the sink's too.
//
// Then comes the number of sessions, in turn.
func BenchmarkRules(b *testing.B) {
	for _, sessions := range []int{1, 10_000} {
		for _, name := range []string{"none", "keep", "filter", "both"} {
			b.Run(fmt.Sprintf("%s/%d", name, sessions), func(b *testing.B) {
				pathBy(b, load{size: 128, sessions: sessions, flows: 10_000}, rules(b, name), nothing)
			})
		}
	}
}

// nothing is a sink of frames that does nothing with them.
func nothing(*testing.B) pipeline.Sink { return pipeline.Sink{Name: "none", Sink: new(frames)} }

// frames takes frames and forgets them.
type frames struct{ n uint64 }

func (f *frames) Offer(int, *packet.Frame)    { f.n++ }
func (f *frames) Mark(int, int64, int64)      {}
func (f *frames) Close(context.Context) error { return nil }
func (f *frames) Ledger() sink.Ledger         { return sink.Ledger{Offered: f.n, Stored: f.n} }

func rules(b *testing.B, name string) (r pipeline.Rules) {
	every := filter.Match{VNI: filter.AnyVNI}
	if name == "keep" || name == "both" {
		var keep []filter.KeepRule
		for i := range 9 {
			rule := filter.KeepRule{Match: every, Ports: filter.Ports{From: 1, To: uint16(1 + i)}, Keep: filter.None}
			if i%2 == 0 {
				rule = filter.KeepRule{Match: filter.Match{VNI: filter.AnyVNI, Service: fmt.Sprint(i)}, Keep: filter.Full}
			}
			keep = append(keep, rule)
		}
		policy, err := filter.NewPolicy(append(keep, filter.KeepRule{Match: every, Keep: filter.Headers}))
		if err != nil {
			b.Fatal(err)
		}
		r.Keep = policy
	}
	if name == "filter" || name == "both" {
		f := filter.Filter{Name: "f"}
		everything := netip.MustParsePrefix("0.0.0.0/0")
		for _, direction := range []packet.Direction{packet.Ingress, packet.Egress} {
			for i := range 10 {
				rule := filter.Rule{
					Number: i + 1, Action: filter.Reject, Direction: direction, Protocol: packet.ProtocolTCP,
					Source: everything, Destination: everything, DestinationPorts: filter.Ports{From: 1, To: uint16(1 + i)},
				}
				if i == 9 {
					rule.Action, rule.DestinationPorts = filter.Accept, filter.Ports{}
				}
				f.Rules = append(f.Rules, rule)
			}
		}
		program, err := f.Compile()
		if err != nil {
			b.Fatal(err)
		}
		r.Sessions = []pipeline.SessionRule{{Match: every, Filter: program}}
		if name == "both" {
			r.Sinks = map[string]*filter.Program{"none": program}
		}
	}
	return r
}
