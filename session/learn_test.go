package session_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// More about the same tenure, and other tags and networks, is the same session, which
// becomes the new one; another task, service or interface is another. An end alone
// changes nothing.
func TestLearnMore(t *testing.T) {
	base := learnt("tms-1", [6]byte{}, 100, 0)
	base.Workload.Service = "web"
	base.Workload.Labels = map[string]string{"team": "shop"}
	base.Workload.VPCCIDRs = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}
	full := base
	full.MAC, full.Workload.TaskARN, full.Workload.InstanceID = macA, "arn", "i-1"
	for _, tt := range []struct {
		name   string
		change func(e *session.Entry)
		same   bool // the Session is kept
		become bool
	}{
		{"nothing", func(*session.Entry) {}, true, false},
		{"empty is none", func(e *session.Entry) {
			e.Workload.ContainerIDs, e.Addresses = []string{}, []packet.Addr{}
		}, true, false},
		{"an end", func(e *session.Entry) { e.Until = 500 }, true, false},
		{"a MAC address", func(e *session.Entry) { e.MAC = macA }, false, true},
		{"a task and a name", func(e *session.Entry) { e.Name, e.Workload.TaskARN = "web-1", "arn" }, false, true},
		{"an earlier begin", func(e *session.Entry) { e.From = 50 }, false, true},
		{"another label", func(e *session.Entry) { e.Workload.Labels = map[string]string{"team": "bar"} }, false, true},
		{"no labels", func(e *session.Entry) { e.Workload.Labels = nil }, false, true},
		{"another network", func(e *session.Entry) {
			e.Workload.VPCCIDRs = append(e.Workload.VPCCIDRs[:1:1], netip.MustParsePrefix("10.1.0.0/16"))
		}, false, true},
		{"another name", func(e *session.Entry) { e.Name = "called otherwise" }, false, true},
		{"another packet length", func(e *session.Entry) { e.Workload.PacketLength = 100 }, false, true},
		{"an address more", func(e *session.Entry) { e.Addresses = []packet.Addr{own, peer} }, false, true},
		{"more, and an end", func(e *session.Entry) { e.MAC, e.Until = macA, 500 }, false, true},
		{"another service", func(e *session.Entry) { e.Workload.Service = "db" }, false, false},
		{"less", func(e *session.Entry) { e.Workload.Service = "" }, false, false},
		{"another interface", func(e *session.Entry) { e.Workload.InterfaceID = "eni-x" }, false, false},
		{"another session", func(e *session.Entry) { e.Workload.SessionID = "tms-x" }, false, false},
		{"all", func(e *session.Entry) { *e = full }, false, true},
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

// Where all is known, another task, service, instance or MAC address is another
// session.
func TestLearnAnotherWorkload(t *testing.T) {
	full := learnt("tms-1", macA, 100, 0)
	full.Workload.TaskARN, full.Workload.Service, full.Workload.InstanceID = "arn", "web", "i-1"
	for name, change := range map[string]func(e *session.Entry){
		"task":        func(e *session.Entry) { e.Workload.TaskARN = "arn-2" },
		"no task":     func(e *session.Entry) { e.Workload.TaskARN = "" },
		"service":     func(e *session.Entry) { e.Workload.Service = "db" },
		"instance":    func(e *session.Entry) { e.Workload.InstanceID = "i-2" },
		"MAC address": func(e *session.Entry) { e.MAC = macB },
	} {
		table := newTable(t, session.Config{})
		table.Learn([]session.Entry{full})
		before := table.Sessions()[0]
		next := full
		change(&next)
		table.Learn([]session.Entry{next})
		if !before.Ended.Load() || before.Identified() != before {
			t.Errorf("%s: ended %v, identified as %+v", name, before.Ended.Load(), before.Identified())
		}
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
		"web-01234567":                    "web-01234567",
		"häfen/1 %":                       "häfen/1 %",
		"":                                "tms-1",
		"a\nb\x00":                        "a_b_",
		"a\xffb":                          "a_b",
		"vni-7":                           "_vni-7",
		"vni-7-10.0.0.9":                  "_vni-7-10.0.0.9",
		"vni-7-":                          "_vni-7-",
		"vni-7x":                          "vni-7x",
		"vni--7":                          "vni--7",
		"vni-" + strings.Repeat("7", 124): "_vni-" + strings.Repeat("7", 123),
		strings.Repeat("ä", 64):           strings.Repeat("ä", 64),
		"a" + strings.Repeat("ä", 64):     "a" + strings.Repeat("ä", 63),
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
	table := newTable(t, session.Config{UnknownMax: 4, BySource: 4})
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

// A learnt session does not go by the name of one of the session file.
func TestLearntNameOfTheFile(t *testing.T) {
	table := newTable(t, session.Config{})
	e := learnt("db", macA, 100, 0)
	e.Workload.InterfaceID = "eni-0123456789abcdef0"
	long := learnt(strings.Repeat("x", 128), macB, 100, 0)
	listed := []session.Entry{{Name: "db", VNI: 1}, {Name: long.Name, VNI: 2, Until: 50}}
	short := strings.Repeat("x", 128-len("-eni-b")) + "-eni-b"
	if got := session.NameApart(long.Name, "eni-b"); got != short {
		t.Fatalf("%q", got)
	}
	long.Workload.InterfaceID = "eni-b"
	for _, step := range []struct {
		what string
		do   func()
		want []string
	}{
		{"learnt", func() { table.Learn([]session.Entry{e, long}) }, []string{"db", long.Name}},
		{"the file has the name", func() { table.Replace(listed) }, []string{"db", "db-9abcdef0", short, long.Name}},
		{"learnt again", func() { table.Learn([]session.Entry{e, long}) }, []string{"db", "db-9abcdef0", short, long.Name}},
		{"the file has it no more", func() { table.Replace(nil) }, []string{"db", long.Name}},
	} {
		before := table.Sessions()
		step.do()
		if got := names(table.Sessions()); !slices.Equal(got, step.want) {
			t.Errorf("%s: %q, want %q", step.what, got, step.want)
		}
		for _, s := range before {
			if s.Learned && s.Over() {
				t.Errorf("%s: %s is over", step.what, s.Name)
			}
		}
	}
}
