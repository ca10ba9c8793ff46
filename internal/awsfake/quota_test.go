package awsfake

import (
	"path/filepath"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	ec2sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// A shop makes things by the SDK.
type shop struct {
	*testing.T
	clients
	*Server
	filter, balancer string
}

func newShop(t *testing.T) *shop {
	s := &shop{T: t, Server: Start(t), clients: newClients(t)}
	made := must(s.ec2.CreateTrafficMirrorFilter(t.Context(), nil))(t)
	s.filter = *made.TrafficMirrorFilter.TrafficMirrorFilterId
	target := must(s.ec2.CreateTrafficMirrorTarget(t.Context(), &ec2sdk.CreateTrafficMirrorTargetInput{NetworkLoadBalancerArn: aws.String("arn:aws:elasticloadbalancing:::loadbalancer/net/x/0")}))(t)
	s.balancer = *target.TrafficMirrorTarget.TrafficMirrorTargetId
	return s
}

func (s *shop) card() string {
	s.Helper()
	task := must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion}))(s.T)
	return task.Interface()
}

func (s *shop) session(card, target string, number int32) (*types.TrafficMirrorSession, error) {
	out, err := s.ec2.CreateTrafficMirrorSession(s.Context(), &ec2sdk.CreateTrafficMirrorSessionInput{
		NetworkInterfaceId: &card, TrafficMirrorTargetId: &target, TrafficMirrorFilterId: &s.filter, SessionNumber: &number,
	})
	if err != nil {
		return nil, err
	}
	return out.TrafficMirrorSession, nil
}

// TestQuotas: each is reached, and the next refused by its code.
func TestQuotas(t *testing.T) {
	s := newShop(t)
	card := s.card()
	for n := int32(1); n <= 3; n++ {
		_, err := s.session(card, s.balancer, n)
		wantCode(t, err, "")
	}
	_, err := s.session(card, s.balancer, 4)
	wantCode(t, err, "TrafficMirrorSessionsPerInterfaceLimitExceeded")

	own := s.card()
	target := must(s.ec2.CreateTrafficMirrorTarget(t.Context(), &ec2sdk.CreateTrafficMirrorTargetInput{NetworkInterfaceId: &own}))(t)
	id := *target.TrafficMirrorTarget.TrafficMirrorTargetId
	var tenth string
	for range 10 {
		tenth = s.card()
		_, err := s.session(tenth, id, 1)
		wantCode(t, err, "")
	}
	_, err = s.session(tenth, id, 2)
	wantCode(t, err, "") // it is a source of the target already
	_, err = s.session(s.card(), id, 1)
	wantCode(t, err, "TrafficMirrorSourcesPerTargetLimitExceeded")
	_, err = s.session(own, s.balancer, 1)
	wantCode(t, err, "InvalidParameterValue") // a target is no source
	_, err = s.ec2.CreateTrafficMirrorTarget(t.Context(), &ec2sdk.CreateTrafficMirrorTargetInput{NetworkInterfaceId: &card})
	wantCode(t, err, "InvalidParameterValue") // and a source no target

	rule := func(direction types.TrafficDirection, n int32) error {
		_, err := s.ec2.CreateTrafficMirrorFilterRule(t.Context(), &ec2sdk.CreateTrafficMirrorFilterRuleInput{
			TrafficMirrorFilterId: &s.filter, TrafficDirection: direction, RuleNumber: &n, RuleAction: "accept",
			SourceCidrBlock: aws.String("0.0.0.0/0"), DestinationCidrBlock: aws.String("0.0.0.0/0"),
		})
		return err
	}
	for n := int32(1); n <= 5; n++ {
		wantCode(t, rule("ingress", n), "")
		wantCode(t, rule("egress", n), "")
	}
	wantCode(t, rule("egress", 6), "TrafficMirrorFilterRuleLimitExceeded")

	s.Change(func(state *State) { state.Quotas = Quotas{Sessions: 15, Targets: 2, Filters: 1} })
	_, err = s.session(s.card(), s.balancer, 1)
	wantCode(t, err, "")
	_, err = s.session(s.card(), s.balancer, 1)
	wantCode(t, err, "TrafficMirrorSessionLimitExceeded")
	_, err = s.ec2.CreateTrafficMirrorTarget(t.Context(), &ec2sdk.CreateTrafficMirrorTargetInput{NetworkLoadBalancerArn: aws.String("arn")})
	wantCode(t, err, "TrafficMirrorTargetLimitExceeded")
	_, err = s.ec2.CreateTrafficMirrorFilter(t.Context(), nil)
	wantCode(t, err, "TrafficMirrorFilterLimitExceeded")
}

// TestSessionValues: a load balancer's default length and bound, a number used
// twice, and VNIs that are made up: no two alike.
func TestSessionValues(t *testing.T) {
	s := newShop(t)
	seen := make(map[int32]bool)
	for range 50 {
		made := must(s.session(s.card(), s.balancer, 1))(t)
		if *made.PacketLength != 8500 {
			t.Errorf("%d bytes to a load balancer, want 8500", *made.PacketLength)
		}
		if vni := *made.VirtualNetworkId; seen[vni] || vni < 1 || vni >= 1<<24 {
			t.Errorf("VNI %d was made up", vni)
		}
		seen[*made.VirtualNetworkId] = true
	}
	card := s.card()
	made := must(s.session(card, s.balancer, 7))(t)
	_, err := s.session(card, s.balancer, 7)
	wantCode(t, err, "InvalidParameterValue")
	for _, test := range []struct {
		in   ec2sdk.ModifyTrafficMirrorSessionInput
		code string
	}{
		{ec2sdk.ModifyTrafficMirrorSessionInput{PacketLength: aws.Int32(0)}, "InvalidParameterValue"},
		{ec2sdk.ModifyTrafficMirrorSessionInput{PacketLength: aws.Int32(1)}, ""},
		{ec2sdk.ModifyTrafficMirrorSessionInput{PacketLength: aws.Int32(8500)}, ""},
		{ec2sdk.ModifyTrafficMirrorSessionInput{PacketLength: aws.Int32(8501)}, "InvalidParameterValue"},
		{ec2sdk.ModifyTrafficMirrorSessionInput{VirtualNetworkId: aws.Int32(0)}, "InvalidParameterValue"},
		{ec2sdk.ModifyTrafficMirrorSessionInput{VirtualNetworkId: aws.Int32(1<<24 - 1)}, ""},
		{ec2sdk.ModifyTrafficMirrorSessionInput{VirtualNetworkId: aws.Int32(1 << 24)}, "InvalidParameterValue"},
		{ec2sdk.ModifyTrafficMirrorSessionInput{SessionNumber: aws.Int32(32766)}, ""},
		{ec2sdk.ModifyTrafficMirrorSessionInput{SessionNumber: aws.Int32(32767)}, "InvalidParameterValue"},
		{ec2sdk.ModifyTrafficMirrorSessionInput{TrafficMirrorFilterId: aws.String("tmf-0")}, "InvalidTrafficMirrorFilterId.NotFound"},
		{ec2sdk.ModifyTrafficMirrorSessionInput{TrafficMirrorTargetId: aws.String("tmt-0")}, "InvalidTrafficMirrorTargetId.NotFound"},
		{ec2sdk.ModifyTrafficMirrorSessionInput{RemoveFields: []types.TrafficMirrorSessionField{"virtual-network-id", "packet-length"}}, ""},
	} {
		test.in.TrafficMirrorSessionId = made.TrafficMirrorSessionId
		_, err := s.ec2.ModifyTrafficMirrorSession(t.Context(), &test.in)
		wantCode(t, err, test.code)
	}
	now := s.State().Accounts[HomeAccount].Regions[HomeRegion].Sessions[*made.TrafficMirrorSessionId]
	if now.VNI == 1<<24-1 || seen[int32(now.VNI)] || *now.PacketLength != 8500 || now.Number != 32766 {
		t.Errorf("at the end it is %+v", now)
	}
}

// TestOnce: a token makes an operation happen once, and is of its parameters.
func TestOnce(t *testing.T) {
	s := newShop(t)
	card := s.card()
	in := &ec2sdk.CreateTrafficMirrorSessionInput{
		NetworkInterfaceId: &card, TrafficMirrorTargetId: &s.balancer, TrafficMirrorFilterId: &s.filter, SessionNumber: aws.Int32(1), ClientToken: aws.String("one"),
	}
	first := must(s.ec2.CreateTrafficMirrorSession(t.Context(), in))(t)
	again := must(s.ec2.CreateTrafficMirrorSession(t.Context(), in))(t)
	if *first.TrafficMirrorSession.TrafficMirrorSessionId != *again.TrafficMirrorSession.TrafficMirrorSessionId || *again.ClientToken != "one" {
		t.Errorf("the token made %+v and %+v", first, again)
	}
	in.SessionNumber = aws.Int32(2)
	_, err := s.ec2.CreateTrafficMirrorSession(t.Context(), in)
	wantCode(t, err, "IdempotentParameterMismatch")
	if n := len(s.State().Accounts[HomeAccount].Regions[HomeRegion].Sessions); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
	if made := s.Made(); len(made) != 1 || made[0].ID != *first.TrafficMirrorSession.TrafficMirrorSessionId {
		t.Errorf("made %+v, want one", made)
	}
}

// TestAccounts: a role of another account is for who knows its external id, and
// its credentials are of there. A shared target takes sessions of who it is
// shared with, which its owner sees.
func TestAccounts(t *testing.T) {
	const other = "444455556666"
	s := newShop(t)
	ctx := t.Context()
	s.Change(func(state *State) {
		state.Region(other, HomeRegion)
		state.Accounts[other].Roles = map[string]Role{role: {ExternalID: "word"}}
		state.Region(HomeAccount, HomeRegion).Targets[s.balancer].SharedWith = []string{other}
	})
	as := func(word string) func(*ec2sdk.Options) {
		return func(o *ec2sdk.Options) {
			o.Credentials = stscreds.NewAssumeRoleProvider(s.sts, role, func(a *stscreds.AssumeRoleOptions) { a.ExternalID = &word })
		}
	}
	_, err := s.ec2.DescribeVpcs(ctx, nil, as("wrong"))
	wantCode(t, err, "AccessDenied")
	task := must(s.RunTask(Run{Account: other, Region: HomeRegion}))(t)
	card := task.Interface()
	there := must(s.ec2.DescribeNetworkInterfaces(ctx, nil, as("word")))(t).NetworkInterfaces
	if here := must(s.ec2.DescribeNetworkInterfaces(ctx, nil))(t).NetworkInterfaces; len(here) != 0 || len(there) != 1 || *there[0].OwnerId != other {
		t.Errorf("here are %d interfaces, there %+v", len(here), there)
	}
	in := &ec2sdk.CreateTrafficMirrorFilterInput{Description: aws.String("theirs")}
	filter := *must(s.ec2.CreateTrafficMirrorFilter(ctx, in, as("word")))(t).TrafficMirrorFilter.TrafficMirrorFilterId
	session := must(s.ec2.CreateTrafficMirrorSession(ctx, &ec2sdk.CreateTrafficMirrorSessionInput{
		NetworkInterfaceId: &card, TrafficMirrorTargetId: &s.balancer, TrafficMirrorFilterId: &filter, SessionNumber: aws.Int32(1),
	}, as("word")))(t).TrafficMirrorSession
	for name, who := range map[string]func(*ec2sdk.Options){"the owner": func(*ec2sdk.Options) {}, "the other": as("word")} {
		seen := must(s.ec2.DescribeTrafficMirrorSessions(ctx, nil, who))(t).TrafficMirrorSessions
		if len(seen) != 1 || *seen[0].TrafficMirrorSessionId != *session.TrafficMirrorSessionId || *seen[0].OwnerId != other {
			t.Errorf("%s sees %+v", name, seen)
		}
	}
	_, err = s.ec2.DeleteTrafficMirrorTarget(ctx, &ec2sdk.DeleteTrafficMirrorTargetInput{TrafficMirrorTargetId: &s.balancer})
	wantCode(t, err, "TrafficMirrorTargetInUseException")
}

// TestSaveLoad: what was saved is loaded by another, which goes on from there.
func TestSaveLoad(t *testing.T) {
	s := newShop(t)
	furnish(t, s.Server)
	path := filepath.Join(t.TempDir(), "state.json")
	if err := s.Save(path); err != nil {
		t.Fatal(err)
	}
	other := Start(t)
	if err := other.Load(path); err != nil {
		t.Fatal(err)
	}
	if was, is := s.State(), other.State(); !reflect.DeepEqual(was, is) {
		t.Errorf("saved %+v\nloaded %+v", was, is)
	}
	before := must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion}))(t)
	after := must(other.RunTask(Run{Account: HomeAccount, Region: HomeRegion}))(t)
	if before.Interface() != after.Interface() || before.ARN != after.ARN {
		t.Errorf("the first makes %s of %s, the second %s of %s", before.Interface(), before.ARN, after.Interface(), after.ARN)
	}
	if err := other.Load(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("there was no file")
	}
}
