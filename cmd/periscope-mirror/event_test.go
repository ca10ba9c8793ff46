package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/periscope-collector/periscope/mirror"
)

// What the events of testdata name.
const (
	eventTask     = "arn:aws:ecs:us-east-1:111122223333:task/shop/0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	eventCluster  = "arn:aws:ecs:us-east-1:111122223333:cluster/shop"
	eventInstance = "i-00000000000000005"
)

// events are the files of testdata/events, with what is read from each.
var events = map[string]struct {
	hint  mirror.Hint
	whole bool
	why   string
	err   string
}{
	"task-provisioning":                    {why: "the task has no interface of its own yet"},
	"task-provisioning-attached":           {hint: taskHint},
	"task-pending":                         {hint: taskHint},
	"task-activating":                      {hint: taskHint},
	"task-running":                         {hint: taskHint},
	"task-deactivating":                    {hint: taskHint},
	"task-stopping":                        {hint: taskHint},
	"task-deprovisioning":                  {hint: taskHint},
	"task-stopped":                         {hint: taskHint},
	"task-stopped-no-attachment":           {hint: taskHint},
	"task-ec2-launch":                      {hint: taskHint},
	"task-ec2-bridge":                      {why: "the task has no interface of its own yet"},
	"task-attachments-of-other-types":      {hint: taskHint},
	"task-attachments-of-other-types-only": {why: "the task has no interface of its own yet"},
	"task-unknown-fields":                  {hint: taskHint},
	"task-short-arn": {hint: mirror.Hint{
		ClusterARN: eventCluster, TaskARN: "arn:aws:ecs:us-east-1:111122223333:task/0f1e2d3c4b5a69788796a5b4c3d2e1f0"}},
	"task-strange-time":      {hint: taskHint},
	"instance-pending":       {hint: instanceHint},
	"instance-running":       {hint: instanceHint},
	"instance-stopping":      {hint: instanceHint},
	"instance-stopped":       {hint: instanceHint},
	"instance-shutting-down": {hint: instanceHint},
	"instance-terminated":    {hint: instanceHint},
	"scheduled-rule":         {whole: true},
	"scheduled-scheduler":    {whole: true},
	"scheduled-own-input":    {whole: true},

	"other-ecs-service-action": {err: `event of detail-type "ECS Service Action" from source "aws.ecs": want ECS Task State Change, EC2 Instance State-change Notification or Scheduled Event; correct the rule that sends it`},
	"other-sqs-batch":          {err: `event of detail-type "" from source "": want ECS Task State Change, EC2 Instance State-change Notification or Scheduled Event; correct the rule that sends it`},
	"bad-task-without-arn":     {err: `event of detail-type "ECS Task State Change" from source "aws.ecs": detail.taskArn: want a task's ARN, not ""`},
	"bad-cluster-name":         {err: `event of detail-type "ECS Task State Change" from source "aws.ecs": detail.clusterArn: want a cluster's ARN, not "shop"`},
	"bad-attachments":          {err: `event of detail-type "ECS Task State Change" from source "aws.ecs": detail: json: cannot unmarshal string into Go struct field taskDetail.attachments`},
	"bad-without-detail":       {err: `event of detail-type "ECS Task State Change" from source "aws.ecs": detail: unexpected end of JSON input`},
	"bad-instance-id":          {err: `event of detail-type "EC2 Instance State-change Notification" from source "aws.ec2": detail.instance-id: want an instance's id, not "*"`},
}

var (
	taskHint     = mirror.Hint{ClusterARN: eventCluster, TaskARN: eventTask}
	instanceHint = mirror.Hint{InstanceID: eventInstance}
)

// readEvents returns the events of testdata, by their names.
func readEvents(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/events/*.json")
	if err != nil {
		t.Fatal(err)
	}
	read := make(map[string][]byte)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		read[strings.TrimSuffix(filepath.Base(path), ".json")] = data
	}
	return read
}

func TestEvents(t *testing.T) {
	read := readEvents(t)
	if len(read) != len(events) {
		t.Errorf("%d files, and the table has %d", len(read), len(events))
	}
	for name, data := range read {
		t.Run(name, func(t *testing.T) {
			want, ok := events[name]
			if !ok {
				t.Fatal("not in the table")
			}
			got, err := parseEvent(data)
			if want.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), want.err) {
					t.Errorf("%v\nwant\n%s", err, want.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var hints []mirror.Hint
			if want.hint != (mirror.Hint{}) {
				hints = []mirror.Hint{want.hint}
			}
			if !reflect.DeepEqual(got.hints, hints) || got.whole != want.whole || got.why != want.why {
				t.Errorf("%+v", got)
			}
			if timed := !strings.Contains(name, "own-input") && !strings.Contains(name, "strange-time"); timed == got.at.IsZero() {
				t.Errorf("at %s", got.at)
			}
		})
	}
}

func TestEventTime(t *testing.T) {
	got, err := parseEvent(readEvents(t)["task-running"])
	if want := time.Date(2026, 11, 21, 9, 0, 4, 0, time.UTC); err != nil || !got.at.Equal(want) {
		t.Errorf("%s, %v; want %s", got.at, err, want)
	}
}

// What is not an event at all is an error that says so in a few words.
func TestEventGarbage(t *testing.T) {
	long := strings.Repeat("é", 300)
	for name, data := range map[string]string{
		"empty": "", "text": "hello", "null bytes": "\x00\x00", "a list": "[]", "a number": "7", "null": "null", "half": `{"detail-type":"ECS Task`,
		"two":              `{"source":"aws.events"}{"source":"aws.events"}`,
		"a list as type":   `{"detail-type":["x"]}`,
		"a long type":      `{"detail-type":"` + long + `","source":"` + long + `"}`,
		"a long ARN":       `{"detail-type":"ECS Task State Change","detail":{"taskArn":"arn:aws:ecs:r:a:task/` + long + long + `"}}`,
		"a long bad value": `{"detail-type":{"` + long + `":1}}`,
		"deep":             strings.Repeat(`{"detail":`, 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseEvent([]byte(data))
			if err == nil {
				t.Fatalf("%+v", got)
			}
			if text := err.Error(); len(text) > 600 || strings.ContainsAny(text, "\n\x00") || !utf8.ValidString(text) {
				t.Errorf("%d bytes: %q", len(text), text)
			}
		})
	}
}

// An event may have 256 KiB, and is read as one of 1 KiB.
func TestEventLarge(t *testing.T) {
	got, err := parseEvent(largeEvent(t))
	if err != nil || !reflect.DeepEqual(got.hints, []mirror.Hint{taskHint}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// largeEvent returns an event of a task with the most bytes EventBridge passes on.
func largeEvent(t testing.TB) []byte {
	t.Helper()
	const size = 256 << 10
	var e map[string]any
	if err := json.Unmarshal(readEvents(t)["task-running"], &e); err != nil {
		t.Fatal(err)
	}
	overrides := ""
	e["detail"].(map[string]any)["padding"] = &overrides
	small, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	overrides = strings.Repeat("x", size-len(small))
	data, err := json.Marshal(e)
	if err != nil || len(data) != size {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	return data
}

// Any bytes are an event or an error, never both and never neither; what is taken
// on from it is bounded and looks like what AWS calls its own.
func FuzzEvent(f *testing.F) {
	for _, data := range readEvents(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := parseEvent(data)
		if err != nil {
			if !reflect.DeepEqual(e, event{}) || len(err.Error()) > 1000 || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%+v, %q", e, err)
			}
			return
		}
		said := 0
		for _, is := range []bool{len(e.hints) > 0, e.whole, e.why != ""} {
			if is {
				said++
			}
		}
		if said != 1 || len(e.hints) > 1 {
			t.Fatalf("%+v", e)
		}
		for _, h := range e.hints {
			if len(h.TaskARN) > maxName || len(h.ClusterARN) > maxName || len(h.InstanceID) > maxName ||
				(h.TaskARN == "") != (h.ClusterARN == "") || (h.TaskARN == "") == (h.InstanceID == "") {
				t.Fatalf("%+v", h)
			}
		}
	})
}
