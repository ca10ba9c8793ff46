package aws_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

// matches says whether EventBridge finds an event to be of a pattern, as far as the
// patterns here go: lists of values, one of which the event has, in an array
// anywhere in it; and $or.
//
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
func matches(pattern object, event any) bool {
	for key, wanted := range pattern {
		switch wanted := wanted.(type) {
		case object:
			if !slices.ContainsFunc(fields(event, key), func(v any) bool { return matches(wanted, v) }) {
				return false
			}
		case []any:
			if key == "$or" {
				if !slices.ContainsFunc(wanted, func(p any) bool { return matches(p.(object), event) }) {
					return false
				}
			} else if !slices.ContainsFunc(fields(event, key), func(v any) bool { return slices.Contains(wanted, v) }) {
				return false
			}
		}
	}
	return true
}

// fields returns the values of a key in an object, or in those of an array.
func fields(event any, key string) (values []any) {
	for _, item := range list(event) {
		if m, ok := item.(object); ok && m[key] != nil {
			values = append(values, m[key])
		}
	}
	return values
}

func rules(t *testing.T) map[string]object {
	all := make(map[string]object)
	for id, rule := range resources(render(t, "mirror.yaml", nil), "AWS::Events::Rule") {
		all[id] = rule.(object)
	}
	return all
}

// TestPatterns: of the events that periscope-mirror is tested with, the rules pass
// on those that say something of an interface.
func TestPatterns(t *testing.T) {
	want := map[string]string{
		"task-pending": "TaskChange", "task-activating": "TaskChange", "task-running": "TaskChange",
		"task-deprovisioning": "TaskChange", "task-stopped": "TaskChange", "task-stopped-no-attachment": "TaskChange",
		"task-ec2-launch": "TaskChange", "task-unknown-fields": "TaskChange",
		"task-provisioning": "", "task-provisioning-attached": "", "task-ec2-bridge": "",
		"task-deactivating": "", "task-stopping": "",
		"instance-pending": "InstanceChange", "instance-running": "InstanceChange", "instance-stopping": "InstanceChange",
		"instance-stopped": "InstanceChange", "instance-shutting-down": "InstanceChange", "instance-terminated": "InstanceChange",
		"scheduled-rule": "", "other-ecs-service-action": "", "other-sqs-batch": "",
	}
	all := rules(t)
	for name, rule := range want {
		data, err := os.ReadFile(filepath.Join("../../cmd/periscope-mirror/testdata/events", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var event any
		if err := json.Unmarshal(data, &event); err != nil {
			t.Fatal(err)
		}
		got := ""
		for id, r := range all {
			if pattern, ok := r["EventPattern"]; ok && matches(pattern.(object), event) {
				got += id
			}
		}
		if got != rule {
			t.Errorf("%s is for %q, want %q", name, got, rule)
		}
	}
}

// TestStatuses: a task's events are passed on in the statuses in which it may have
// got an interface, and in those in which it loses it and has lost it.
func TestStatuses(t *testing.T) {
	fake := awsfake.Start(t)
	task, err := fake.RunTask(awsfake.Run{Account: awsfake.HomeAccount, Region: awsfake.HomeRegion, Service: "web", Status: "PROVISIONING"})
	if err != nil {
		t.Fatal(err)
	}
	pattern := at(t, rules(t)["TaskChange"], "EventPattern").(object)
	var passed []string
	for _, status := range strings.Fields("PROVISIONING PENDING ACTIVATING RUNNING DEACTIVATING STOPPING DEPROVISIONING STOPPED") {
		if status != "PROVISIONING" {
			if _, err := fake.SetTask(task.ARN, status); err != nil {
				t.Fatal(err)
			}
		}
		var event any
		if err := json.Unmarshal(fake.TaskEvent(task.ARN), &event); err != nil {
			t.Fatal(err)
		}
		if matches(pattern, event) {
			passed = append(passed, status)
		}
	}
	same(t, "passed on", passed, strings.Fields("PENDING ACTIVATING RUNNING DEPROVISIONING STOPPED"))
	same(t, "named", text(t, at(t, pattern, "detail", "lastStatus")), passed)
}

// TestDelivery: each rule goes to the function, which it may invoke, and what cannot
// be delivered or handled goes to the queue.
func TestDelivery(t *testing.T) {
	all := render(t, "mirror.yaml", nil)
	may := make(map[any]bool)
	for _, p := range resources(all, "AWS::Lambda::Permission") {
		same(t, "permission", []any{p.(object)["Action"], p.(object)["FunctionName"], p.(object)["Principal"]},
			[]any{"lambda:InvokeFunction", "Function", "events.amazonaws.com"})
		may[p.(object)["SourceArn"]] = true
	}
	var arns []any
	for _, id := range slices.Sorted(maps.Keys(rules(t))) {
		arns = append(arns, id+".Arn")
		target := at(t, rules(t)[id], "Targets").([]any)[0].(object)
		same(t, id, []any{target["Arn"], target["DeadLetterConfig"]}, []any{"Function.Arn", object{"Arn": "DeadLetters.Arn"}})
		if !may[id+".Arn"] {
			t.Errorf("%s may not invoke the function", id)
		}
	}
	if len(arns) != 3 {
		t.Fatalf("rules %v", arns)
	}
	for _, s := range at(t, resources(all, "AWS::SQS::QueuePolicy"), "DeadLettersPolicy", "PolicyDocument", "Statement").([]any) {
		if s := s.(object); s["Sid"] == "Events" {
			sources := at(t, s, "Condition", "ArnEquals", "aws:SourceArn").([]any)
			slices.SortFunc(sources, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
			same(t, "who may put events aside", sources, arns)
		}
	}
	retries := at(t, resources(all, "AWS::Lambda::EventInvokeConfig"), "Retries").(object)
	same(t, "on failure", retries["DestinationConfig"], object{"OnFailure": object{"Destination": "DeadLetters.Arn"}})
	function := at(t, resources(all, "AWS::Lambda::Function"), "Function").(object)
	same(t, "the function", []any{function["Runtime"], function["Architectures"], function["ReservedConcurrentExecutions"]},
		[]any{"provided.al2023", []any{"arm64"}, 1})
	if function["MemorySize"].(int) > 256 || function["Timeout"].(int) >= 300 {
		t.Errorf("the function has %v MB and %v s, and is called every 5 minutes", function["MemorySize"], function["Timeout"])
	}
}
