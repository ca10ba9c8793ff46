package awsfake

import (
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	ec2sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	ecssdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// TestTaskLife follows a task, its interface and its session from the SDK's side:
// address reused by the next, stopped one told for an hour.
func TestTaskLife(t *testing.T) {
	clock := newClock()
	s := StartAt(t, clock.Now)
	sdk := newClients(t)
	ctx := t.Context()

	first := must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion, Cluster: "prod", Service: "web", Status: "PROVISIONING"}))(t)
	session := must(s.Mirror(HomeAccount, HomeRegion, first.Interface(), 662316))(t)
	card := must(sdk.ec2.DescribeNetworkInterfaces(ctx, &ec2sdk.DescribeNetworkInterfacesInput{
		NetworkInterfaceIds: []string{first.Interface()},
	}))(t).NetworkInterfaces[0]
	if want := "arn:aws:ecs:us-east-1:111122223333:attachment/" + first.Attachments[0].ID; aws.ToString(card.Description) != want ||
		!aws.ToBool(card.RequesterManaged) || card.InterfaceType != "interface" || card.Attachment.InstanceId != nil {
		t.Errorf("the interface is %+v, want the description %s", card, want)
	}
	describe := func() (string, int) {
		out := must(sdk.ecs.DescribeTasks(ctx, &ecssdk.DescribeTasksInput{Cluster: aws.String("prod"), Tasks: []string{first.ARN}}))(t)
		if len(out.Tasks) == 0 {
			return aws.ToString(out.Failures[0].Reason), 0
		}
		return aws.ToString(out.Tasks[0].LastStatus), int(out.Tasks[0].Version)
	}
	for i, status := range []string{"PENDING", "ACTIVATING", "RUNNING", "DEPROVISIONING", "STOPPED"} {
		must(s.SetTask(first.ARN, status))(t)
		if got, version := describe(); got != status || version != i+2 {
			t.Errorf("the task is %s, version %d, want %s, %d", got, version, status, i+2)
		}
	}
	sessions := must(sdk.ec2.DescribeTrafficMirrorSessions(ctx, &ec2sdk.DescribeTrafficMirrorSessionsInput{}))(t)
	if len(sessions.TrafficMirrorSessions) != 0 {
		t.Errorf("session %s outlives its interface", session.ID)
	}

	second := must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion, Cluster: "prod", Service: "web"}))(t)
	address := func(task Task) string { return task.Containers[0].Interfaces[0].Address }
	if address(first) != address(second) || first.Interface() == second.Interface() {
		t.Errorf("the second task has %s of %s, the first had %s of %s",
			address(second), second.Interface(), address(first), first.Interface())
	}
	_, err := s.RunTask(Run{Account: HomeAccount, Region: HomeRegion, Address: netip.MustParseAddr(address(second))})
	if err == nil {
		t.Error("an address has two tasks at once")
	}
	clock.now = clock.now.Add(time.Hour - time.Second)
	if got, _ := describe(); got != "STOPPED" {
		t.Errorf("just before an hour is over the task is %s", got)
	}
	clock.now = clock.now.Add(time.Second)
	if got, _ := describe(); got != "MISSING" {
		t.Errorf("after an hour the task is %s, want MISSING", got)
	}
}

func TestMetadata(t *testing.T) {
	s := Start(t)
	sdk := newClients(t)
	ctx := t.Context()
	if _, err := sdk.imds.GetRegion(ctx, nil); err == nil {
		t.Error("there is metadata without an instance")
	}
	instance, card, err := s.RunInstance(HomeAccount, HomeRegion, "collector", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	s.Change(func(state *State) { state.Self = Self{HomeAccount, HomeRegion, instance.ID} })
	document := must(sdk.imds.GetInstanceIdentityDocument(ctx, nil))(t)
	if document.Region != HomeRegion || document.AccountID != HomeAccount || document.InstanceID != instance.ID {
		t.Errorf("the identity document is %+v", document)
	}
	macs := "network/interfaces/macs/"
	for path, want := range map[string]string{
		"instance-id":                             instance.ID,
		"placement/region":                        HomeRegion,
		"placement/availability-zone-id":          "use1-az1",
		"mac":                                     card.MAC,
		macs:                                      card.MAC + "/",
		macs + card.MAC + "/interface-id":         card.ID,
		macs + card.MAC + "/local-ipv4s":          "10.0.0.4",
		macs + card.MAC + "/vpc-ipv4-cidr-block":  "10.0.0.0/16",
		macs + card.MAC + "/vpc-ipv4-cidr-blocks": "10.0.0.0/16",
		macs + card.MAC + "/subnet-id":            card.SubnetID,
		"iam/security-credentials/":               metadataRole,
	} {
		out, err := sdk.imds.GetMetadata(ctx, &imds.GetMetadataInput{Path: path})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		text, err := io.ReadAll(out.Content)
		if err = errors.Join(err, out.Content.Close()); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if string(text) != want {
			t.Errorf("%s is %q, want %q", path, text, want)
		}
	}
	key := must(ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = sdk.imds }).Retrieve(ctx))(t)
	if key.AccessKeyID != "ASIA"+HomeAccount || key.SessionToken == "" || !key.CanExpire {
		t.Errorf("the role's credentials are %+v", key)
	}
	s.Fail(Fault{Operation: Metadata, Kind: Denied, Times: 1})
	var refused *smithyhttp.ResponseError
	if _, err := sdk.imds.GetRegion(ctx, nil); !errors.As(err, &refused) || refused.HTTPStatusCode() != 403 {
		t.Errorf("with metadata off: %v, want status 403", err)
	}
}
