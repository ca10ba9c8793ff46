package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/cloud"
)

// since returns the calls that were made beside those before.
func (r *rig) since(before map[string]uint64) map[string]uint64 {
	calls := r.Calls()
	maps.DeleteFunc(calls, func(operation string, n uint64) bool { return n == before[operation] })
	for operation := range calls {
		calls[operation] -= before[operation]
	}
	return calls
}

// TestCalls: a look makes so many calls, as the package's comment says, and no more
// of them fit in fewer pages.
func TestCalls(t *testing.T) {
	r := newRig(t, cloud.Config{})
	_, filter, _ := r.target(t)
	var tasks []awsfake.Task
	for _, test := range []struct {
		tasks, lists, faces uint64
	}{{0, 1, 1}, {10, 1, 1}, {100, 1, 1}, {120, 2, 1}, {200, 2, 2}, {1000, 10, 6}} {
		for uint64(len(tasks)) < test.tasks {
			tasks = append(tasks, r.task(t, awsfake.Run{Cluster: "prod", Service: "web"}))
			// The target is an interface, which takes 10 sources in a real account.
			r.change(func(here *awsfake.Region) {
				id := fmt.Sprintf("tms-%d", len(tasks))
				if here.Sessions == nil {
					here.Sessions = make(map[string]*awsfake.MirrorSession)
				}
				here.Sessions[id] = &awsfake.MirrorSession{ID: id, InterfaceID: tasks[len(tasks)-1].Interface(), TargetID: "tmt-1", FilterID: filter,
					OwnerID: account, Number: 1, VNI: 1}
			})
		}
		if test.tasks == 0 { // a cluster without tasks
			r.change(func(here *awsfake.Region) {
				arn := "arn:aws:ecs:us-east-1:111122223333:cluster/prod"
				here.Clusters = map[string]*awsfake.Cluster{arn: {ARN: arn, Name: "prod"}}
			})
		}
		before := r.Calls()
		s := r.look(t)
		want := map[string]uint64{"DescribeTrafficMirrorSessions": 1, "DescribeTrafficMirrorTargets": 1, "ListClusters": 1,
			"ListTasks": test.lists, "DescribeTasks": test.lists, "DescribeNetworkInterfaces": test.faces}
		if test.tasks == 0 {
			want["GetCallerIdentity"] = 1
			delete(want, "DescribeTasks")
		}
		if calls := r.since(before); !maps.Equal(calls, want) {
			t.Errorf("%d tasks: calls %v, want %v", test.tasks, calls, want)
		}
		if len(s.Sources) != len(tasks) || len(s.Sessions) != len(tasks) {
			t.Errorf("%d tasks: %d sources, %d sessions", test.tasks, len(s.Sources), len(s.Sessions))
		}
	}
	for _, n := range []uint64{1, 100, 120} {
		before := r.Calls()
		s := r.look(t, hint(tasks[:n]...)...)
		want := map[string]uint64{"DescribeTrafficMirrorSessions": 1, "DescribeTrafficMirrorTargets": 1, "DescribeTasks": (n + 99) / 100,
			"DescribeNetworkInterfaces": 1}
		if calls := r.since(before); !maps.Equal(calls, want) || uint64(len(s.Sources)) != n {
			t.Errorf("%d hints: %d sources after calls %v, want %v", n, len(s.Sources), calls, want)
		}
	}
}

// TestFailingLook: whatever call fails, and in whatever page, there is no state.
func TestFailingLook(t *testing.T) {
	r := newRig(t, cloud.Config{Instances: true})
	r.target(t)
	var hints []mirror.Hint
	for range 120 {
		hints = append(hints, hint(r.task(t, awsfake.Run{Cluster: "prod"}))...)
	}
	hints = append(hints, mirror.Hint{InstanceID: "i-1"})
	r.look(t)
	for _, test := range []struct {
		operation   string
		skip        int
		whole, hint bool
	}{
		{"DescribeTrafficMirrorSessions", 0, true, true},
		{"DescribeTrafficMirrorTargets", 0, true, true},
		{"ListClusters", 0, true, false},
		{"ListTasks", 0, true, false},
		{"ListTasks", 1, true, false},
		{"DescribeTasks", 0, true, true},
		{"DescribeTasks", 1, true, true},
		{"DescribeInstances", 0, true, true},
		{"DescribeNetworkInterfaces", 0, true, true},
		{"DescribeNetworkInterfaces", 1, false, true},
	} {
		for name, look := range map[string]struct {
			hints []mirror.Hint
			fails bool
		}{"whole": {nil, test.whole}, "hint": {hints, test.hint}} {
			name = fmt.Sprint(test.operation, "/", test.skip, "/", name)
			remove := r.fake.Fail(awsfake.Fault{Operation: test.operation, Kind: awsfake.Denied, Skip: test.skip})
			s, err := r.Look(t.Context(), look.hints)
			remove()
			var refusal *mirror.Refusal
			if look.fails != (err != nil) || look.fails != (s == nil) || errors.As(err, &refusal) {
				t.Errorf("%s: %v, %v", name, s, err)
			}
		}
	}
	// What may pass is no refusal.
	r.fake.Fail(awsfake.Fault{Operation: "DescribeTasks", Kind: awsfake.Throttled, Skip: 1, Times: 3})
	s, err := r.Look(t.Context(), nil)
	var refusal *mirror.Refusal
	if s != nil || errors.As(err, &refusal) || err == nil || !strings.Contains(err.Error(), "RequestLimit") && !strings.Contains(err.Error(), "Throttling") {
		t.Errorf("throttled: %v, %v", s, err)
	}
	r.fake.Down()
	if s, err := r.Look(t.Context(), nil); s != nil || err == nil {
		t.Errorf("away: %v, %v", s, err)
	}
	r.fake.Up()
	r.look(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := r.Look(ctx, nil); s != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v, %v", s, err)
	}
}

// TestNobodyKnown: without the account's number there is no look, since another
// account's sessions could not be told.
func TestNobodyKnown(t *testing.T) {
	r := newRig(t, cloud.Config{})
	remove := r.fake.Fail(awsfake.Fault{Operation: "GetCallerIdentity", Kind: awsfake.Denied})
	if s, err := r.Look(t.Context(), nil); s != nil || err == nil {
		t.Errorf("%v, %v", s, err)
	}
	remove()
	r.look(t)
	r.look(t)
	if n := r.Calls()["GetCallerIdentity"]; n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// TestClusterEnds: a cluster that is deleted between two calls has no tasks, and
// spoils no look.
func TestClusterEnds(t *testing.T) {
	for _, operation := range []string{"ListTasks", "DescribeTasks"} {
		r := newRig(t, cloud.Config{})
		task := r.task(t, awsfake.Run{Cluster: "a"})
		r.task(t, awsfake.Run{Cluster: "b"})
		r.fake.Fail(awsfake.Fault{Operation: operation, Skip: 1, Times: 1, Kind: awsfake.Refused,
			Error: awsfake.Error{Code: "ClusterNotFoundException", Message: "Cluster not found."}})
		if s := r.look(t); len(s.Sources) != 1 || s.Sources[0].InterfaceID != task.Interface() {
			t.Errorf("%s: %v", operation, faces(s))
		}
	}
}
