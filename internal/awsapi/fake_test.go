package awsapi_test

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/awsfake"
)

const (
	home   = awsfake.HomeAccount
	region = awsfake.HomeRegion
)

// patience bounds waits for what comes at once on a machine that is not busy.
const patience = time.Minute

// open returns the clients of cfg, asking awsfake.
func open(t *testing.T, cfg awsapi.Config) []*awsapi.Client {
	t.Helper()
	cfg.RatePerSecond = 1e6
	cfg.Timeout = cmp.Or(cfg.Timeout, patience)
	cfg.Log = slog.New(slog.DiscardHandler)
	clients := awsapi.Open(cfg)
	for _, c := range clients {
		c.Hasty(time.Millisecond).Patient(patience)
		t.Cleanup(c.Close)
	}
	return clients
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestWhole follows one mirrored task and one mirrored instance through every
// operation.
func TestWhole(t *testing.T) {
	fake := awsfake.Start(t)
	task := must[awsfake.Task](t)(fake.RunTask(awsfake.Run{Account: home, Region: region, Cluster: "prod", Service: "web",
		Tags: []awsfake.Tag{{Key: "team", Value: "net"}}}))
	mirrored := must[awsfake.MirrorSession](t)(fake.Mirror(home, region, task.Interface(), 662316))
	host, card, err := fake.RunInstance(home, region, "db", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	c := open(t, awsapi.Config{})[0]
	ctx := t.Context()

	if id := must[string](t)(c.Identity(ctx)); id != home {
		t.Errorf("account %s", id)
	}
	sessions := must[[]awsapi.MirrorSession](t)(c.Sessions(ctx))
	if len(sessions) != 1 || sessions[0].ID != mirrored.ID || sessions[0].VNI != 662316 || sessions[0].InterfaceID != task.Interface() {
		t.Fatalf("sessions %+v", sessions)
	}
	targets := must[[]awsapi.Target](t)(c.Targets(ctx))
	if len(targets) != 1 || targets[0].ID != sessions[0].TargetID || targets[0].InterfaceID != "" {
		t.Errorf("targets %+v", targets)
	}
	if filters, err := c.Filters(ctx); err != nil || len(filters) != 1 || filters[0].Name != sessions[0].FilterID ||
		len(filters[0].Rules) != 4 || !filters[0].AmazonDNS {
		t.Errorf("filters %+v, %v", filters, err)
	}
	cards := must[[]awsapi.Interface](t)(c.Interfaces(ctx, []string{task.Interface(), "eni-gone", card.ID}))
	slices.SortFunc(cards, func(a, b awsapi.Interface) int { return strings.Compare(a.InstanceID, b.InstanceID) })
	if len(cards) != 2 || cards[0].ID != task.Interface() || cards[0].MAC == [6]byte{} || !cards[0].Primary.Is4() ||
		cards[0].Attached.IsZero() || cards[1].InstanceID != host.ID {
		t.Fatalf("interfaces %+v", cards)
	}
	if instances, err := c.Instances(ctx, []string{host.ID, "i-gone"}); err != nil || len(instances) != 1 || instances[0].Name != "db" {
		t.Errorf("instances %+v, %v", instances, err)
	}
	if vpcs, err := c.VPCs(ctx, []string{cards[0].VPCID}); err != nil || len(vpcs) != 1 || len(vpcs[0].CIDRs) == 0 {
		t.Errorf("vpcs %+v, %v", vpcs, err)
	}
	if subnets, err := c.Subnets(ctx, []string{cards[0].SubnetID}); err != nil || len(subnets) != 1 || len(subnets[0].CIDRs) == 0 {
		t.Errorf("subnets %+v, %v", subnets, err)
	}
	clusters := must[[]string](t)(c.Clusters(ctx))
	if len(clusters) != 1 {
		t.Fatalf("clusters %v", clusters)
	}
	arns := must[[]string](t)(c.TaskARNs(ctx, clusters[0], false))
	if !slices.Equal(arns, []string{task.ARN}) {
		t.Fatalf("tasks %v", arns)
	}
	tasks := must[[]awsapi.Task](t)(c.Tasks(ctx, clusters[0], append(arns, arns[0][:len(arns[0])-4]+"gone")))
	if len(tasks) != 1 || tasks[0].Service != "web" || tasks[0].InterfaceID != task.Interface() || len(tasks[0].ContainerIDs) != 1 ||
		tasks[0].Tags["team"] != "net" || !strings.HasSuffix(cards[0].Description, tasks[0].AttachmentID) || tasks[0].Created.IsZero() {
		t.Errorf("tasks %+v", tasks)
	}
	if _, err := c.Tasks(ctx, "nowhere", arns); awsapi.KindOf(err) != awsapi.NotFound {
		t.Errorf("of no cluster: %v: %v", awsapi.KindOf(err), err)
	}
	if _, err := fake.StopTask(task.ARN); err != nil {
		t.Fatal(err)
	}
	stopped := must[[]string](t)(c.TaskARNs(ctx, clusters[0], true))
	if running := must[[]string](t)(c.TaskARNs(ctx, clusters[0], false)); len(running) != 0 || !slices.Equal(stopped, arns) {
		t.Errorf("running %v, stopped %v", running, stopped)
	}
	if tasks := must[[]awsapi.Task](t)(c.Tasks(ctx, clusters[0], stopped)); len(tasks) != 1 || tasks[0].Stopped.IsZero() {
		t.Errorf("stopped %+v", tasks)
	}
	policy(t, slices.Sorted(maps.Keys(c.Calls())))
}

func TestManyPages(t *testing.T) {
	fake := awsfake.Start(t)
	fake.Change(func(s *awsfake.State) {
		sessions := make(map[string]*awsfake.MirrorSession)
		for i := range 2001 {
			id := fmt.Sprintf("tms-%017x", i)
			sessions[id] = &awsfake.MirrorSession{ID: id, InterfaceID: "eni-1", OwnerID: home, Number: 1, VNI: uint32(i)}
		}
		s.Region(home, region).Sessions = sessions
	})
	c := open(t, awsapi.Config{})[0]
	got, err := c.Sessions(t.Context())
	if err != nil || len(got) != 2001 || c.Calls()["DescribeTrafficMirrorSessions"] != 3 {
		t.Errorf("%d sessions, %v, after %v", len(got), err, c.Calls())
	}
}

// Two accounts by role, of which one is refused.
func TestAccounts(t *testing.T) {
	fake := awsfake.Start(t)
	const good, bad = "arn:aws:iam::222222222222:role/mirror", "arn:aws:iam::333333333333:role/mirror"
	fake.Change(func(s *awsfake.State) {
		for _, role := range []string{good, bad} {
			account := strings.Split(role, ":")[4]
			s.Region(account, "eu-central-1")
			s.Accounts[account].Roles = map[string]awsfake.Role{role: {ExternalID: "ours"}}
		}
	})
	clients := open(t, awsapi.Config{Accounts: []awsapi.Account{
		{RoleARN: good, ExternalID: "ours", Regions: []string{"eu-central-1", "eu-west-1"}},
		{RoleARN: bad, ExternalID: "theirs", Regions: []string{"eu-central-1"}},
	}})
	if len(clients) != 3 {
		t.Fatalf("%d clients", len(clients))
	}
	for i, c := range clients {
		if wantRegion := []string{"eu-central-1", "eu-west-1", "eu-central-1"}[i]; c.Region() != wantRegion {
			t.Errorf("client %d: region %s", i, c.Region())
		}
		account, err := c.Identity(t.Context())
		if i < 2 {
			if err != nil || account != "222222222222" || c.RoleARN() != good {
				t.Errorf("client %d: %s, %v", i, account, err)
			}
			continue
		}
		if awsapi.KindOf(err) != awsapi.Denied || !strings.HasPrefix(err.Error(), "aws: AssumeRole in eu-central-1 as "+bad+": AccessDenied: ") {
			t.Errorf("refused: %v: %v", awsapi.KindOf(err), err)
		}
	}
	// The role's credentials are kept.
	if _, err := clients[0].Sessions(t.Context()); err != nil || clients[0].Calls()["AssumeRole"] != 1 {
		t.Errorf("%v after %v", err, clients[0].Calls())
	}
}

// Faults of each kind by each service, as awsfake has them said, and that the next
// call is good again.
func TestFaults(t *testing.T) {
	kinds := map[awsfake.Kind]awsapi.Kind{
		awsfake.Throttled: awsapi.Throttled, awsfake.Denied: awsapi.Denied, awsfake.Expired: awsapi.Expired,
		awsfake.Internal: awsapi.Unreachable, awsfake.Reset: awsapi.Unreachable, awsfake.Broken: awsapi.Other,
	}
	fake := awsfake.Start(t)
	c := open(t, awsapi.Config{})[0]
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		for operation, ask := range map[string]func() error{
			"DescribeTrafficMirrorSessions": func() error { return second(c.Sessions(t.Context())) },
			"ListClusters":                  func() error { return second(c.Clusters(t.Context())) },
			"GetCallerIdentity":             func() error { return second(c.Identity(t.Context())) },
		} {
			remove := fake.Fail(awsfake.Fault{Operation: operation, Kind: kind})
			if err := ask(); awsapi.KindOf(err) != kinds[kind] {
				t.Errorf("%s, fault %d: %v: %v", operation, kind, awsapi.KindOf(err), err)
			}
			remove()
			if err := ask(); err != nil {
				t.Errorf("%s, after fault %d: %v", operation, kind, err)
			}
		}
	}
}

func TestDownAndUp(t *testing.T) {
	fake := awsfake.Start(t)
	c := open(t, awsapi.Config{})[0]
	if _, err := c.Sessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	fake.Down()
	if _, err := c.Sessions(t.Context()); awsapi.KindOf(err) != awsapi.Unreachable {
		t.Errorf("down: %v: %v", awsapi.KindOf(err), err)
	}
	fake.Up()
	if _, err := c.Sessions(t.Context()); err != nil {
		t.Errorf("up again: %v", err)
	}
}
