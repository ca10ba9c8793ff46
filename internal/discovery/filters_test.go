package discovery

import (
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/packet"
)

// Which direction a filter accepts alone is known of each session, and known
// again ten minutes later.
func TestWholeFilters(t *testing.T) {
	all := func(direction, action string) awsfake.FilterRule {
		return awsfake.FilterRule{
			ID: "tmfr-1", Direction: direction, Number: 1, Action: action, SourceCIDR: "0.0.0.0/0", DestinationCIDR: "0.0.0.0/0",
		}
	}
	in, out := awsfake.Set[awsfake.FilterRule]{all("ingress", "accept")}, awsfake.Set[awsfake.FilterRule]{all("egress", "accept")}
	dns := awsfake.Set[string]{"amazon-dns"}
	tests := []struct {
		filter awsfake.MirrorFilter
		only   packet.Direction
	}{
		{awsfake.MirrorFilter{ID: "tmf-0in", Ingress: in}, packet.Ingress},
		{awsfake.MirrorFilter{ID: "tmf-1out", Egress: out, Ingress: awsfake.Set[awsfake.FilterRule]{all("ingress", "reject")}, Services: dns}, packet.Egress},
		{awsfake.MirrorFilter{ID: "tmf-2both", Ingress: in, Egress: out}, packet.DirectionUnknown},
		{awsfake.MirrorFilter{ID: "tmf-3dns", Services: dns}, packet.DirectionUnknown},
		{awsfake.MirrorFilter{ID: "tmf-4odd", Ingress: awsfake.Set[awsfake.FilterRule]{all("ingress", "what")}}, packet.DirectionUnknown},
	}
	w := newWhole(t, nil)
	for vni := range tests {
		w.runTask(uint32(vni + 1))
	}
	w.Change(func(s *awsfake.State) {
		r := s.Region(home, region)
		for i := range tests {
			r.Filters[tests[i].filter.ID] = &tests[i].filter
		}
		for _, m := range r.Sessions {
			m.FilterID = tests[m.VNI-1].filter.ID
		}
	})
	look := func(when string, d time.Duration) {
		t.Helper()
		w.after(d)
		for i := range w.tenures {
			e := &w.tenures[i].Entry
			tt := tests[e.VNI-1]
			if id, only := w.Filter(e.Workload.SessionID); id != tt.filter.ID || only != tt.only {
				t.Errorf("%s: filter %s accepts only %v, want %s, %v", when, id, only, tt.filter.ID, tt.only)
			}
		}
	}
	look("at first", time.Second)
	if id, only := w.Filter("tms-none"); id != "" || only != packet.DirectionUnknown {
		t.Errorf("no session has filter %q, %v", id, only)
	}
	w.Change(func(s *awsfake.State) { s.Region(home, region).Filters["tmf-0in"].Egress = out })
	remove := w.Fail(awsfake.Fault{Operation: "DescribeTrafficMirrorFilters", Kind: awsfake.Denied})
	look("denied", refreshEvery)
	if s := w.scopes[0].status(w.clock); s.ErrorKind != "denied" || s.LastSuccess != w.clock || len(w.table()) != len(tests) {
		t.Errorf("status %+v of %d sessions", s, len(w.table()))
	}
	remove()
	tests[0].only = packet.DirectionUnknown
	look("changed", refreshEvery)
}

// What a filter accepts does not change who a session is.
func TestWholeFilterReplaced(t *testing.T) {
	w := newWhole(t, nil)
	w.runTask(7)
	w.after(time.Second)
	before := w.rig.table.Sessions()[0]
	w.Change(func(s *awsfake.State) {
		r := s.Region(home, region)
		r.Filters["tmf-new"] = &awsfake.MirrorFilter{ID: "tmf-new"}
		for _, m := range r.Sessions {
			m.FilterID = "tmf-new"
		}
	})
	w.after(time.Second)
	if id, _ := w.Filter(before.Workload.SessionID); id != "tmf-new" {
		t.Errorf("filter %q", id)
	}
	if after := w.rig.table.Sessions(); len(after) != 1 || after[0] != before {
		t.Errorf("became %+v", after)
	}
}
