package awsapi_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
)

const (
	taskARN    = "arn:aws:ecs:eu-central-1:111122223333:task/prod/0123456789abcdef0123456789abcdef"
	clusterARN = "arn:aws:ecs:eu-central-1:111122223333:cluster/prod"
)

// task1 is a task as DescribeTasks gives it. Its interface is not its first
// attachment.
const task1 = `{"taskArn":"` + taskARN + `","clusterArn":"` + clusterARN + `","group":"service:web","version":3,
 "taskDefinitionArn":"arn:aws:ecs:eu-central-1:111122223333:task-definition/web:7","lastStatus":"RUNNING","desiredStatus":"STOPPED",
 "createdAt":1768471213.877,"stoppedAt":1768471300,
 "attachments":[
  {"id":"sc","type":"ServiceConnect","details":[{"name":"networkInterfaceId","value":"eni-other"}]},
  {"id":"5f0c7f2e","type":"ElasticNetworkInterface","status":"ATTACHED","details":[
   {"name":"subnetId","value":"subnet-1"},{"name":"networkInterfaceId","value":"eni-1"},
   {"name":"macAddress","value":"0a:11:22:33:44:55"},{"name":"privateIPv4Address","value":"10.0.1.163"}]}],
 "containers":[{"name":"app","runtimeId":"r-1"},{"name":"pending"},{"name":"log","runtimeId":"r-2"}],
 "tags":[{"key":"team","value":"net"}],"unknown":{"a":[1]}}`

func TestTasks(t *testing.T) {
	e := serve(t, map[string][]answer{"DescribeTasks": {
		{body: `{"tasks":[` + task1 + `,{"taskArn":"t-2","clusterArn":"c","group":"family:once","attachments":[{}],"containers":[{}]},
			{"clusterArn":"c"},{"taskArn":"t-3"},{"taskArn":"t-4","clusterArn":"c","createdAt":1e10}],
			"failures":[{"arn":"gone","reason":"MISSING"},{"reason":"MISSING"}]}`},
		{body: `{"tasks":[]}`},
	}})
	arns := make([]string, 101)
	for i := range arns {
		arns[i] = fmt.Sprint("t-", i)
	}
	got, err := e.client(t, awsapi.Config{}).Tasks(t.Context(), "prod", arns)
	want := []awsapi.Task{
		{ARN: taskARN, ClusterARN: clusterARN, Service: "web", LastStatus: "RUNNING",
			TaskDefinitionARN: "arn:aws:ecs:eu-central-1:111122223333:task-definition/web:7",
			DesiredStatus:     "STOPPED", Version: 3,
			InterfaceID: "eni-1", AttachmentID: "5f0c7f2e", Attached: awsapi.Attached{SubnetID: "subnet-1",
				MAC: [6]byte{0x0a, 0x11, 0x22, 0x33, 0x44, 0x55}, Address: netip.MustParseAddr("10.0.1.163")}, ContainerIDs: []string{"r-1", "r-2"},
			Created: time.UnixMilli(1768471213877).UTC(), Stopped: time.Unix(1768471300, 0).UTC(),
			Tags: map[string]string{"team": "net"}},
		{ARN: "t-2", ClusterARN: "c"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
	if !strings.Contains(e.log.String(), "items=3") {
		t.Errorf("logged: %s", e.log.String())
	}
	var sizes []int
	for _, r := range e.requests("DescribeTasks") {
		var asked struct {
			Cluster        string
			Tasks, Include []string
		}
		if err := json.Unmarshal([]byte(r.json), &asked); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(asked.Tasks))
		if asked.Cluster != "prod" || !reflect.DeepEqual(asked.Include, []string{"TAGS"}) {
			t.Errorf("asked %+v", asked)
		}
	}
	if !reflect.DeepEqual(sizes, []int{100, 1}) {
		t.Errorf("asked for %v tasks", sizes)
	}
}

// A task that is there and not described is not left out in silence.
func TestTasksOtherFailure(t *testing.T) {
	e := serve(t, map[string][]answer{"DescribeTasks": {
		{body: `{"tasks":[],"failures":[{"arn":"t-1","reason":"INTERNAL"}]}`}}})
	got, err := e.client(t, awsapi.Config{}).Tasks(t.Context(), "prod", []string{"t-1"})
	if got != nil || err == nil || !strings.Contains(err.Error(), "t-1: INTERNAL") {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestClustersAndTaskARNs(t *testing.T) {
	e := serve(t, map[string][]answer{
		"ListClusters": {{body: `{"clusterArns":["c-1","c-2"],"nextToken":"two"}`}, {body: `{"clusterArns":["c-3"]}`}},
		"ListTasks": {{body: `{"taskArns":["t-1"],"nextToken":"two"}`}, {body: `{"taskArns":["t-2"],"nextToken":""}`},
			{body: `{"taskArns":["t-3"]}`}},
	})
	c := e.client(t, awsapi.Config{})
	if got, err := c.Clusters(t.Context()); err != nil || !reflect.DeepEqual(got, []string{"c-1", "c-2", "c-3"}) {
		t.Errorf("clusters %v, %v", got, err)
	}
	if got, err := c.TaskARNs(t.Context(), "c-1", false); err != nil || !reflect.DeepEqual(got, []string{"t-1", "t-2"}) {
		t.Errorf("tasks %v, %v", got, err)
	}
	if got, err := c.TaskARNs(t.Context(), "c-1", true); err != nil || !reflect.DeepEqual(got, []string{"t-3"}) {
		t.Errorf("stopped tasks %v, %v", got, err)
	}
	var asked []string
	for _, r := range e.requests("ListTasks") {
		var in struct{ Cluster, DesiredStatus, NextToken string }
		if err := json.Unmarshal([]byte(r.json), &in); err != nil {
			t.Fatal(err)
		}
		asked = append(asked, in.Cluster+" "+in.DesiredStatus+" "+in.NextToken)
	}
	if !reflect.DeepEqual(asked, []string{"c-1 RUNNING ", "c-1 RUNNING two", "c-1 STOPPED "}) {
		t.Errorf("asked %q", asked)
	}
}
