package awsfake

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	ecssdk "github.com/aws/aws-sdk-go-v2/service/ecs"
)

// TestTaskEvent: the event has what the documentation's sample has, each value of
// the sample's type.
func TestTaskEvent(t *testing.T) {
	clock := newClock()
	s := StartAt(t, clock.Now)
	task := must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion, Cluster: "prod", Service: "web", Status: "PROVISIONING", Bare: true,
		Tags: []Tag{{"team", "shop"}}}))(t)
	const sample = `{"version":"0","id":"","detail-type":"ECS Task State Change","source":"aws.ecs","account":"","time":"","region":"",
		"resources":[""],"detail":{"taskArn":"","clusterArn":"","taskDefinitionArn":"","group":"","startedBy":"","launchType":"","platformVersion":"",
		"availabilityZone":"","desiredStatus":"","lastStatus":"","connectivity":"","createdAt":"","updatedAt":"","version":3,"cpu":"","memory":"",
		"attributes":[{"name":"","value":""}],"attachments":[{"id":"","type":"eni","status":"","details":[{"name":"","value":""}]}],
		"containers":[{"name":"","containerArn":"","lastStatus":"","image":"","taskArn":"","networkInterfaces":[{"attachmentId":"","privateIpv4Address":""}]}],
		"overrides":{"containerOverrides":[{"name":""}]},"enableExecuteCommand":false,"ephemeralStorage":{"sizeInGiB":20}}}`
	type event struct {
		ID, Time, Account, Region string
		Resources                 []string
		Detail                    struct {
			TaskArn, DesiredStatus, LastStatus, CreatedAt, StartedAt, StoppedAt string
			Version                                                             int
			Attachments                                                         []TaskAttachment
			Tags                                                                []Tag
		}
	}
	ids := make(map[string]bool)
	for i, status := range statuses {
		if i > 0 {
			must(s.SetTask(task.ARN, status.task))(t)
		}
		text := s.TaskEvent(task.ARN)
		var is, wanted any
		var e event
		for _, err := range []error{json.Unmarshal(text, &is), json.Unmarshal([]byte(sample), &wanted), json.Unmarshal(text, &e)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		lacks(t, "", wanted, is)
		attachment := status.attachment
		details := []string{"subnetId", "networkInterfaceId", "macAddress", "privateDnsName", "privateIPv4Address"}
		if i == 0 {
			attachment, details = "PRECREATED", details[:1]
		}
		var names []string
		for _, d := range e.Detail.Attachments[0].Details {
			names = append(names, d.Name)
		}
		desired := "RUNNING"
		if i >= 4 {
			desired = "STOPPED"
		}
		if e.Detail.LastStatus != status.task || e.Detail.DesiredStatus != desired || e.Detail.Version != i+1 || e.Detail.Tags != nil ||
			e.Detail.Attachments[0].Status != attachment || !slices.Equal(names, details) {
			t.Errorf("%s: %s", status.task, text)
		}
		if e.Account != HomeAccount || e.Region != HomeRegion || e.Time != "2026-01-15T10:00:00Z" || e.Resources[0] != task.ARN ||
			e.Detail.CreatedAt != "2026-01-15T10:00:00Z" || (e.Detail.StartedAt != "") != (i >= 3) || (e.Detail.StoppedAt != "") != (i == 7) {
			t.Errorf("%s: %s", status.task, text)
		}
		ids[e.ID] = true
	}
	if len(ids) != len(statuses) || s.TaskEvent("none") != nil {
		t.Errorf("%d ids of %d events", len(ids), len(statuses))
	}
}

// lacks says what of a sample is not there, or of another type or constant.
func lacks(t *testing.T, path string, wanted, is any) {
	t.Helper()
	switch wanted := wanted.(type) {
	case map[string]any:
		is, ok := is.(map[string]any)
		if !ok {
			t.Errorf("%s is %v", path, is)
		}
		for _, name := range slices.Sorted(maps.Keys(wanted)) {
			lacks(t, path+"."+name, wanted[name], is[name])
		}
	case []any:
		is, ok := is.([]any)
		if !ok || len(is) == 0 {
			t.Fatalf("%s is %v", path, is)
		}
		lacks(t, path+"[0]", wanted[0], is[0])
	case string:
		if text, ok := is.(string); !ok || text == "" || wanted != "" && wanted != text {
			t.Errorf("%s is %v, want %q", path, is, wanted)
		}
	case float64:
		if _, ok := is.(float64); !ok {
			t.Errorf("%s is %v", path, is)
		}
	case bool:
		if _, ok := is.(bool); !ok {
			t.Errorf("%s is %v", path, is)
		}
	}
}

// TestBare: ECS tells the same of an interface that is only planned.
func TestBare(t *testing.T) {
	s := Start(t)
	sdk := newClients(t)
	task := must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion, Status: "PROVISIONING", Bare: true}))(t)
	for _, want := range []struct {
		status  string
		details int
	}{{"PRECREATED", 1}, {"ATTACHED", 5}} {
		out := must(sdk.ecs.DescribeTasks(t.Context(), &ecssdk.DescribeTasksInput{Tasks: []string{task.ARN}}))(t)
		if a := out.Tasks[0].Attachments[0]; aws.ToString(a.Status) != want.status || len(a.Details) != want.details {
			t.Errorf("the attachment is %s with %d details, want %+v", aws.ToString(a.Status), len(a.Details), want)
		}
		must(s.SetTask(task.ARN, "PENDING"))(t)
	}
	if task.Interface() == "" {
		t.Error("a test does not know it either")
	}
}

// TestInstanceLife: a terminated instance has no interface, and no session of it is
// left.
func TestInstanceLife(t *testing.T) {
	s := Start(t)
	sdk := newClients(t)
	instance, card, err := s.RunInstance(HomeAccount, HomeRegion, "db", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	must(s.Mirror(HomeAccount, HomeRegion, card.ID, 1))(t)
	for _, state := range []string{"stopping", "stopped", "pending", "running", "shutting-down", "terminated"} {
		must(s.SetInstance(instance.ID, state))(t)
		var e struct {
			DetailType string `json:"detail-type"`
			Source     string
			Resources  []string
			Detail     struct {
				ID    string `json:"instance-id"`
				State string
			}
		}
		if err := json.Unmarshal(s.InstanceEvent(instance.ID), &e); err != nil {
			t.Fatal(err)
		}
		if e.DetailType != "EC2 Instance State-change Notification" || e.Source != "aws.ec2" || e.Detail.ID != instance.ID || e.Detail.State != state ||
			!strings.HasSuffix(e.Resources[0], ":111122223333:instance/"+instance.ID) {
			t.Errorf("%s: %+v", state, e)
		}
		out := must(sdk.ec2.DescribeInstances(t.Context(), &ec2sdk.DescribeInstancesInput{InstanceIds: []string{instance.ID}}))(t)
		if is := out.Reservations[0].Instances[0].State; string(is.Name) != state || aws.ToInt32(is.Code) != instanceStates[state] {
			t.Errorf("%s: the state is %+v", state, is)
		}
		here := s.State().Accounts[HomeAccount].Regions[HomeRegion]
		if there := state != "terminated"; there != (len(here.Sessions) == 1) || there != (len(here.Interfaces) == 1) {
			t.Errorf("%s: sessions %v, interfaces %v", state, here.Sessions, here.Interfaces)
		}
	}
	if _, err := s.SetInstance(instance.ID, "asleep"); err == nil {
		t.Error("an instance sleeps")
	}
	if _, err := s.SetInstance("i-0", "running"); err == nil || s.InstanceEvent("i-0") != nil {
		t.Error("an instance that is not there runs")
	}
}
