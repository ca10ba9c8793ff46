package aws_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/cloud"
)

// TestMirrorCalls: the function's role may do what the function asks of AWS, and
// nothing else: each operation is done once, at an endpoint that counts them.
func TestMirrorCalls(t *testing.T) {
	fake := awsfake.Start(t)
	c := cloud.Open(cloud.Config{Instances: true})
	defer c.Close()
	const account, region = awsfake.HomeAccount, awsfake.HomeRegion
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	task, err := fake.RunTask(awsfake.Run{Account: account, Region: region, Cluster: "shop", Service: "web"})
	must(err)
	instance, card, err := fake.RunInstance(account, region, "collector", netip.Addr{})
	must(err)
	fake.Change(func(s *awsfake.State) {
		here := s.Region(account, region)
		here.Targets = map[string]*awsfake.MirrorTarget{"tmt-1": {ID: "tmt-1", Type: "network-interface", InterfaceID: card.ID, OwnerID: account}}
		here.Filters = map[string]*awsfake.MirrorFilter{"tmf-1": {ID: "tmf-1"}}
	})
	_, err = c.Look(ctx, nil)
	must(err)
	_, err = c.Look(ctx, []mirror.Hint{{ClusterARN: task.ClusterARN, TaskARN: task.ARN}, {InstanceID: instance.ID}})
	must(err)
	session, err := c.Create(ctx, mirror.Session{InterfaceID: task.Interface(), TargetID: "tmt-1", FilterID: "tmf-1", Number: 1, VNI: 7,
		Tags: map[string]string{"periscope:owner": "periscope"}}, "token")
	must(err)
	session.Number = 2
	must(c.Modify(ctx, session))
	must(c.Delete(ctx, session.ID))

	asked := []string{"ec2:CreateTags"} // with the session
	for operation := range c.Calls() {
		switch {
		case operation == "GetCallerIdentity": // needs no permission
		case strings.HasPrefix(operation, "List"), operation == "DescribeTasks":
			asked = append(asked, "ecs:"+operation)
		default:
			asked = append(asked, "ec2:"+operation)
		}
	}
	var allowed []string
	for _, s := range statements(t, render(t, "mirror.yaml", nil), "Role") {
		for _, action := range s.actions {
			if strings.HasPrefix(action, "ec2:") || strings.HasPrefix(action, "ecs:") {
				allowed = append(allowed, action)
			}
		}
	}
	slices.Sort(asked)
	slices.Sort(allowed)
	same(t, "what the role allows", slices.Compact(allowed), slices.Compact(asked))
}
