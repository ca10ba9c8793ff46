package cloud_test

import (
	"errors"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/leak"
	"github.com/periscope-collector/periscope/mirror"
	"github.com/periscope-collector/periscope/mirror/cloud"
)

func TestMain(m *testing.M) { leak.Check(m) }

const (
	account = awsfake.HomeAccount
	region  = awsfake.HomeRegion
)

// A rig is a Cloud and what it asks.
type rig struct {
	*cloud.Cloud
	fake *awsfake.Server
}

func newRig(t *testing.T, c cloud.Config) *rig {
	fake := awsfake.Start(t)
	r := &rig{cloud.Open(c).Hurry(), fake}
	t.Cleanup(r.Close)
	return r
}

func (r *rig) task(t *testing.T, run awsfake.Run) awsfake.Task {
	t.Helper()
	run.Account, run.Region = account, region
	task, err := r.fake.RunTask(run)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// change changes the region.
func (r *rig) change(change func(*awsfake.Region)) {
	r.fake.Change(func(s *awsfake.State) { change(s.Region(account, region)) })
}

func (r *rig) look(t *testing.T, hints ...mirror.Hint) *mirror.State {
	t.Helper()
	s, err := r.Look(t.Context(), hints)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(s.Sources, func(a, b mirror.Source) int { return strings.Compare(a.InterfaceID, b.InterfaceID) })
	return s
}

func hint(tasks ...awsfake.Task) (hints []mirror.Hint) {
	for _, t := range tasks {
		hints = append(hints, mirror.Hint{ClusterARN: t.ClusterARN, TaskARN: t.ARN})
	}
	return hints
}

// target makes a target of an interface and a filter, and returns their ids.
func (r *rig) target(t *testing.T) (target, filter, face string) {
	t.Helper()
	_, card, err := r.fake.RunInstance(account, region, "collector", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	r.change(func(here *awsfake.Region) {
		here.Targets = map[string]*awsfake.MirrorTarget{"tmt-1": {ID: "tmt-1", Type: "network-interface", InterfaceID: card.ID, OwnerID: account}}
		here.Filters = map[string]*awsfake.MirrorFilter{"tmf-1": {ID: "tmf-1"}}
	})
	return "tmt-1", "tmf-1", card.ID
}

// TestWhole looks at two clusters, sessions and a target, and does to a session all
// that can be done.
func TestWhole(t *testing.T) {
	r := newRig(t, cloud.Config{})
	target, filter, collector := r.target(t)
	web := r.task(t, awsfake.Run{Cluster: "prod", Service: "web", Family: "web", Tags: []awsfake.Tag{{Key: "team", Value: "shop"}}})
	job := r.task(t, awsfake.Run{Cluster: "batch", Family: "job", Status: "PENDING"})
	if _, err := r.fake.StopTask(r.task(t, awsfake.Run{Cluster: "prod", Service: "web"}).ARN); err != nil {
		t.Fatal(err)
	}
	wanted := mirror.Session{InterfaceID: web.Interface(), TargetID: target, FilterID: filter, Number: 3, VNI: 77, PacketLength: 128,
		Tags: map[string]string{"periscope:owner": "me"}}
	session, err := r.Create(t.Context(), wanted, "once")
	wanted.ID, wanted.OwnerID = session.ID, account
	if err != nil || session.ID == "" || !reflect.DeepEqual(session, wanted) {
		t.Fatalf("made %+v, %v; want %+v", session, err, wanted)
	}

	s := r.look(t)
	if !s.Whole || s.Account != account || s.At.IsZero() || s.Gone != nil || r.Region() != region {
		t.Errorf("the state is %+v", s)
	}
	if !reflect.DeepEqual(s.Sessions, []mirror.Session{wanted}) {
		t.Errorf("sessions %+v, want %+v", s.Sessions, wanted)
	}
	if want := map[string]mirror.Target{target: {ID: target, Type: "network-interface", AZID: "use1-az1", InterfaceID: collector}}; !reflect.DeepEqual(s.Targets, want) {
		t.Errorf("targets %+v, want %+v", s.Targets, want)
	}
	here := r.fake.State().Accounts[account].Regions[region]
	card := here.Interfaces[web.Interface()]
	mac, err := net.ParseMAC(card.MAC)
	if err != nil {
		t.Fatal(err)
	}
	want := mirror.Source{
		InterfaceID: card.ID, Type: "interface", VPCID: card.VPCID, SubnetID: card.SubnetID, AZID: card.ZoneID,
		MAC: [6]byte(mac), Address: netip.MustParseAddr(card.Address),
		Task: &mirror.Task{
			ARN: web.ARN, ClusterARN: web.ClusterARN, Cluster: "prod", Service: "web", Family: "web", TaskDefinitionARN: web.TaskDefinitionARN,
			ContainerIDs: []string{web.Containers[0].RuntimeID}, Status: "RUNNING", Version: 1, Created: s.Sources[0].Task.Created,
			Tags: map[string]string{"team": "shop"},
		},
	}
	if len(s.Sources) != 2 || !reflect.DeepEqual(s.Sources[0], want) {
		t.Errorf("sources %+v, want %+v and %s", s.Sources, want, job.ARN)
	}
	if other := s.Sources[1].Task; other.Cluster != "batch" || other.Service != "" || other.Family != "job" || other.Status != "PENDING" ||
		s.Sources[0].Task.Created.Unix() != web.Created.Unix() {
		t.Errorf("the other task is %+v", other)
	}

	wanted.PacketLength, wanted.Number, wanted.VNI = 0, 4, 78
	if err := r.Modify(t.Context(), wanted); err != nil {
		t.Fatal(err)
	}
	if s := r.look(t); !reflect.DeepEqual(s.Sessions, []mirror.Session{wanted}) {
		t.Errorf("modified, the sessions are %+v, want %+v", s.Sessions, wanted)
	}
	if err := r.Delete(t.Context(), wanted.ID); err != nil {
		t.Fatal(err)
	}
	if s := r.look(t); s.Sessions != nil {
		t.Errorf("deleted, the sessions are %+v", s.Sessions)
	}
}

// TestActingErrors: what AWS refuses is verbatim, what is gone is gone, and what
// may pass is neither.
func TestActingErrors(t *testing.T) {
	r := newRig(t, cloud.Config{})
	target, filter, _ := r.target(t)
	task := r.task(t, awsfake.Run{})
	good := mirror.Session{InterfaceID: task.Interface(), TargetID: target, FilterID: filter, Number: 1, VNI: 1}
	session, err := r.Create(t.Context(), good, "once")
	if err != nil {
		t.Fatal(err)
	}
	branch := r.task(t, awsfake.Run{})
	r.change(func(here *awsfake.Region) { here.Interfaces[branch.Interface()].Type = "branch" })
	create := func(change func(*mirror.Session)) func() error {
		return func() error {
			s := good
			s.Number = 2
			change(&s)
			_, err := r.Create(t.Context(), s, "token")
			return err
		}
	}
	again := create(func(*mirror.Session) {})
	for _, test := range []struct {
		name    string
		fault   awsfake.Fault // for one request; of no Operation for none
		do      func() error
		gone    bool
		refused string // code
	}{
		{name: "interface gone", do: create(func(s *mirror.Session) { s.InterfaceID = "eni-0" }), gone: true},
		{name: "target gone", do: create(func(s *mirror.Session) { s.TargetID = "tmt-0" }), refused: "InvalidTrafficMirrorTargetId.NotFound"},
		{name: "filter gone", do: create(func(s *mirror.Session) { s.FilterID = "tmf-0" }), refused: "InvalidTrafficMirrorFilterId.NotFound"},
		{name: "branch interface", do: create(func(s *mirror.Session) { s.InterfaceID = branch.Interface() }), refused: "InvalidParameterValue"},
		{name: "number taken", do: create(func(s *mirror.Session) { s.Number = 1 }), refused: "InvalidParameterValue"},
		{name: "token of another", do: func() error {
			s := good
			s.VNI = 2
			_, err := r.Create(t.Context(), s, "once")
			return err
		}, refused: "IdempotentParameterMismatch"},
		{name: "quota", do: again, refused: "TrafficMirrorSourcesPerTargetLimitExceeded", fault: awsfake.Fault{Operation: "CreateTrafficMirrorSession",
			Kind: awsfake.Refused, Error: awsfake.Error{Code: "TrafficMirrorSourcesPerTargetLimitExceeded", Message: "Sources per interface-target limit reached (11)"}}},
		{name: "denied", do: again, fault: awsfake.Fault{Operation: "CreateTrafficMirrorSession", Kind: awsfake.Denied}},
		{name: "expired", do: again, fault: awsfake.Fault{Operation: "CreateTrafficMirrorSession", Kind: awsfake.Expired}},
		{name: "throttled", do: again, fault: awsfake.Fault{Operation: "CreateTrafficMirrorSession", Kind: awsfake.Throttled}},
		{name: "unreachable", do: again, fault: awsfake.Fault{Operation: "CreateTrafficMirrorSession", Kind: awsfake.Internal}},
		{name: "modify gone", do: func() error { return r.Modify(t.Context(), mirror.Session{ID: "tms-0", Number: 1, VNI: 1}) }, gone: true},
		{name: "modify refused", do: func() error {
			s := session
			s.FilterID = "tmf-0"
			return r.Modify(t.Context(), s)
		}, refused: "InvalidTrafficMirrorFilterId.NotFound"},
		{name: "delete gone", do: func() error { return r.Delete(t.Context(), "tms-0") }, gone: true},
		{name: "delete denied", do: func() error { return r.Delete(t.Context(), session.ID) },
			fault: awsfake.Fault{Operation: "DeleteTrafficMirrorSession", Kind: awsfake.Denied}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.fault.Operation != "" {
				defer r.fake.Fail(test.fault)()
			}
			err := test.do()
			var refusal *mirror.Refusal
			errors.As(err, &refusal)
			code := ""
			if refusal != nil {
				code = refusal.Code
				if refusal.Message == "" || test.fault.Kind == awsfake.Refused && refusal.Message != test.fault.Error.Message {
					t.Errorf("the message is %q", refusal.Message)
				}
			}
			if err == nil || errors.Is(err, mirror.ErrGone) != test.gone || code != test.refused || !strings.HasPrefix(err.Error(), "aws: ") {
				t.Errorf("got %v, want gone %v, refused %q", err, test.gone, test.refused)
			}
		})
	}
	if n := r.Calls()["CreateTrafficMirrorSession"]; n != 16 { // three each of what is throttled and unreachable
		t.Errorf("%d calls to create", n)
	}
}

// TestToken: of equal calls one session comes, also when the first was deleted.
func TestToken(t *testing.T) {
	r := newRig(t, cloud.Config{})
	target, filter, _ := r.target(t)
	task := r.task(t, awsfake.Run{})
	wanted := mirror.Session{InterfaceID: task.Interface(), TargetID: target, FilterID: filter, Number: 1, VNI: 1,
		Tags: map[string]string{"b": "2", "a": "1"}}
	var ids []string
	for range 2 {
		s, err := r.Create(t.Context(), wanted, "once")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.ID)
	}
	if err := r.Delete(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	s, err := r.Create(t.Context(), wanted, "once")
	if ids[1] != ids[0] || err != nil || s.ID != ids[0] {
		t.Errorf("made %v, then %v, %v", ids, s.ID, err)
	}
	if sessions := r.look(t).Sessions; sessions != nil {
		t.Errorf("there are %v", sessions)
	}
}

// TestRole: a Cloud is the account of its role, and asks in its first region.
func TestRole(t *testing.T) {
	fake := awsfake.Start(t)
	const role = "arn:aws:iam::444455556666:role/mirror"
	fake.Change(func(s *awsfake.State) {
		s.Region("444455556666", "eu-west-1")
		s.Accounts["444455556666"].Roles = map[string]awsfake.Role{role: {}}
	})
	c := cloud.Open(cloud.Config{Account: awsapi.Account{RoleARN: role, Regions: []string{"eu-west-1", "eu-west-2"}}})
	t.Cleanup(c.Close)
	s, err := c.Look(t.Context(), nil)
	if err != nil || s.Account != "444455556666" || c.Region() != "eu-west-1" {
		t.Errorf("got %+v, %v in %s", s, err, c.Region())
	}
}
