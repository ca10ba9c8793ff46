package discovery

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

func TestCacheAsksForWhatIsMissing(t *testing.T) {
	asked := 0
	there := map[string]bool{"a": true}
	c := cache[string]{
		ask: func(_ context.Context, ids []string) (found []string, err error) {
			asked++
			for _, id := range ids {
				if there[id] {
					found = append(found, id)
				}
			}
			return found, nil
		},
		id: func(s *string) string { return *s },
	}
	wanted := map[string]bool{"a": true, "b": true}
	var at []int // seconds at which it asked
	for n := range 600 {
		before := asked
		if err := c.fill(t.Context(), wanted, second(n)); err != nil {
			t.Fatal(err)
		}
		if asked != before {
			at = append(at, n)
		}
	}
	if want := []int{0, 1, 31, 91, 211, 451}; fmt.Sprint(at) != fmt.Sprint(want) {
		t.Errorf("asked for what is missing at seconds %v, want %v", at, want)
	}
	if err := c.fill(t.Context(), map[string]bool{}, second(601)); err != nil || len(c.items)+len(c.answers) != 0 {
		t.Errorf("%d items, %d answers that nobody wants", len(c.items), len(c.answers))
	}
}

// hide takes a thing from what AWS lists, and returns what puts it back.
func hide[T any](w *whole, from func(*awsfake.Region) map[string]T, id string) (putBack func()) {
	var thing T
	w.Change(func(s *awsfake.State) {
		things := from(s.Region(home, region))
		thing = things[id]
		delete(things, id)
	})
	return func() { w.Change(func(s *awsfake.State) { from(s.Region(home, region))[id] = thing }) }
}

// An interface that one answer lacks is as it was known; with the second, a poll
// later, it is gone.
func TestWholeInterfaceOmitted(t *testing.T) {
	w := newWhole(t, nil)
	task := w.runTask(7)
	w.after(time.Second)
	want := nameOfTask(task) + " 7 10.0.0.4 0-"
	interfaces := func(r *awsfake.Region) map[string]*awsfake.Interface { return r.Interfaces }
	putBack := hide(w, interfaces, task.Interface())
	w.after(refreshEvery)
	asked := w.Server.Calls()["DescribeNetworkInterfaces"]
	for range 14 {
		w.after(2 * time.Second)
		check(t, "within a poll", w.table(), want)
	}
	if n := w.Server.Calls()["DescribeNetworkInterfaces"]; n != asked || asked != 2 {
		t.Errorf("interfaces were asked for %d and %d times within a poll", asked, n)
	}
	putBack()
	w.after(2 * time.Second)
	check(t, "omitted once", w.table(), want)
	if n := w.Server.Calls()["DescribeNetworkInterfaces"]; n != 3 {
		t.Errorf("interfaces were asked for %d times", n)
	}
	hide(w, interfaces, task.Interface())
	w.after(refreshEvery)
	check(t, "omitted again once", w.table(), want)
	w.after(30 * time.Second)
	w.after(30 * time.Second)
	if len(w.table()) != 1 || w.table()[0] == want {
		t.Errorf("omitted twice: %v", w.table())
	}
}

// A target that is not listed at once is asked for again, and its sessions are
// counted as long as they are left out; one that one list lacks keeps them.
func TestWholeTargetOmitted(t *testing.T) {
	w := newWhole(t, nil)
	collector, _, err := w.RunInstance(home, region, "collector", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	w.Change(func(s *awsfake.State) { s.Self = awsfake.Self{Account: home, Region: region, Instance: collector.ID} })
	task := w.runTask(7)
	targets := func(r *awsfake.Region) map[string]*awsfake.MirrorTarget { return r.Targets }
	id := ""
	for _, m := range w.State().Accounts[home].Regions[region].Sessions {
		id = m.TargetID
	}
	steps := []struct {
		after time.Duration
		there bool
		known bool
	}{
		{time.Second, false, false},
		{2 * time.Second, true, true},
		{refreshEvery, false, true},
		{30 * time.Second, true, true},
		{refreshEvery, false, true},
		{30 * time.Second, false, true}, // a session ends with the second look that lacks it
		{30 * time.Second, false, false},
	}
	for n, step := range steps {
		putBack := func() {}
		if !step.there {
			putBack = hide(w, targets, id)
		}
		w.after(step.after)
		putBack()
		if known := w.named(task) != nil; known != step.known {
			t.Errorf("step %d: %v", n, w.table())
		}
		skipped := w.scopes[0].status(w.clock).Skipped["no_target"]
		if want := map[int]int{0: 1, 5: 1, 6: 1}[n]; skipped != want {
			t.Errorf("step %d: %d sessions are counted as without a target, want %d", n, skipped, want)
		}
	}
	if n := w.log.lines("are left out"); n != 2 {
		t.Errorf("%d lines about it", n)
	}
}

// What came before a call failed is known at once, and only the rest is asked for
// again.
func TestWholeBatchFails(t *testing.T) {
	w := newWhole(t, nil)
	w.runTasks(450) // 200 interfaces at a time
	w.Fail(awsfake.Fault{Operation: "DescribeNetworkInterfaces", Kind: awsfake.Denied, Skip: 1, Times: 1})
	w.after(time.Second)
	if n := len(w.table()); n != 200 {
		t.Fatalf("%d sessions with the first batch", n)
	}
	w.after(30 * time.Second)
	if n := len(w.table()); n != 450 {
		t.Errorf("%d sessions in the end", n)
	}
	if n := w.Server.Calls()["DescribeNetworkInterfaces"]; n != 4 {
		t.Errorf("interfaces were asked for %d times", n)
	}
	// A refresh goes on where it failed, too.
	w.Fail(awsfake.Fault{Operation: "DescribeNetworkInterfaces", Kind: awsfake.Denied, Skip: 2, Times: 1})
	w.after(refreshEvery)
	w.after(30 * time.Second)
	if n := w.Server.Calls()["DescribeNetworkInterfaces"]; n != 8 || len(w.table()) != 450 {
		t.Errorf("interfaces were asked for %d times, %d sessions", n, len(w.table()))
	}
}

// Where VPCs cannot be described metadata know the networks of this instance's.
func TestWholeOwnVPC(t *testing.T) {
	w := newWhole(t, nil)
	collector, _, err := w.RunInstance(home, region, "collector", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	w.Change(func(s *awsfake.State) { s.Self = awsfake.Self{Account: home, Region: region, Instance: collector.ID} })
	remove := w.Fail(awsfake.Fault{Operation: "DescribeVpcs", Kind: awsfake.Denied})
	w.Fail(awsfake.Fault{Operation: "GetCallerIdentity", Kind: awsfake.Denied})
	w.after(time.Second)
	if account, _ := w.scopes[0].where(); account != home {
		t.Errorf("account %q", account)
	}
	w.runTask(7)
	w.after(30 * time.Second)
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}
	if got := w.tenures[0].Workload.VPCCIDRs; !slices.Equal(got, want) || w.scopes[0].vpcs.items[w.tenures[0].Workload.VPCID] != nil {
		t.Errorf("networks %v, want %v", got, want)
	}
	remove()
	w.after(time.Minute)
	if got := w.tenures[0].Workload.VPCCIDRs; !slices.Equal(got, want) || w.scopes[0].status(w.clock).Error != "" {
		t.Errorf("networks %v, error %s", got, w.scopes[0].status(w.clock).Error)
	}
}
