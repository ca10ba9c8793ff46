package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

// Every event there is a file of is handled, or is an error that says what it is;
// none ends the function.
func TestLambdaEvents(t *testing.T) {
	h := newHome(t, homeRules)
	f := newFunction(t, h.dir, "PERISCOPE_RULES=mirror.yaml")
	for name, data := range readEvents(t) {
		want, data := events[name], fresh(data)
		if want.err == "" {
			if got := f.do(data); !reflect.DeepEqual(got, tally{}) {
				t.Errorf("%s: %+v", name, got)
			}
		} else if got := f.fail(data); !strings.HasPrefix(got, want.err) {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, data := range map[string][]byte{"empty": nil, "garbage": []byte("\x00{]"), "a list": []byte("[1]"), "half": []byte(`{"detail-type":"ECS`)} {
		if got := f.fail(data); !strings.HasPrefix(got, "the event is not one of EventBridge: ") {
			t.Errorf("%s: %s", name, got)
		}
	}
	f.do(fresh(largeEvent(t)))
	if lines := f.lines(len(events) + 5); len(lines) != len(events)+5 {
		t.Errorf("%d lines of metrics", len(lines))
	}
	f.process.waitLog("the task has no interface of its own yet", 3)
	f.process.waitLog("no rule is about instances", 6)
	for line := range strings.Lines(f.process.log.String()) {
		if !strings.HasPrefix(line, `{"time":"`) {
			t.Errorf("logged %q", line)
		}
	}
	looks := 0
	for _, want := range events {
		if want.whole || want.hint.TaskARN != "" {
			looks++
		}
	}
	if calls := h.Calls(); calls["DescribeTrafficMirrorSessions"] != looks+1 || calls["CreateTrafficMirrorSession"]+calls["DeleteTrafficMirrorSession"] != 0 {
		t.Errorf("%d looks, %v", looks, calls)
	}
}

// fresh returns an event of testdata as if it had just happened, so that it is not
// late, and no look is after it.
func fresh(data []byte) []byte {
	return bytes.ReplaceAll(data, []byte(`"2026-11-21T09:`), []byte(`"9026-11-21T09:`))
}

// A task is mirrored from the first event that names its interface until that goes.
func TestLambdaFollowsTask(t *testing.T) {
	h := newHome(t, homeRules)
	f := newFunction(t, h.dir, "PERISCOPE_RULES=mirror.yaml", "PERISCOPE_CHANGES=changes")
	other := h.run("db", "")
	task := h.run("web", "PROVISIONING")
	if got := f.do(h.TaskEvent(other.ARN)); got.Created != 0 {
		t.Errorf("%+v", got)
	}
	h.want()
	for i, status := range []string{"PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING"} {
		if _, err := h.SetTask(task.ARN, status); err != nil {
			t.Fatal(err)
		}
		got := f.do(h.TaskEvent(task.ARN))
		created, deleted := 0, 0
		switch {
		case i == 0:
			created = 1
			h.want(task)
		case i < 5:
			h.want(task)
		default:
			deleted = 1
			h.want()
		}
		if got.Created != created || got.Deleted != deleted {
			t.Errorf("%s: %+v", status, got)
		}
	}
	h.stop(task)
	f.do(h.TaskEvent(task.ARN))
	h.want()
	if files, _ := filepath.Glob(filepath.Join(h.dir, "changes/*/*/*/*/*/*/*.json")); len(files) != 2 {
		t.Errorf("changes %q", files)
	}
}

// Whatever the order of events and however often they come, in the end it is right.
func TestLambdaOrder(t *testing.T) {
	h := newHome(t, homeRules)
	f := newFunction(t, h.dir, "PERISCOPE_RULES=mirror.yaml")
	stays, goes := h.run("web", ""), h.run("api", "")
	running := h.TaskEvent(goes.ARN)
	h.stop(goes)
	stopped := h.TaskEvent(goes.ARN)
	for _, event := range [][]byte{stopped, running, running, stopped, h.TaskEvent(stays.ARN), h.TaskEvent(stays.ARN), running} {
		f.do(event)
	}
	h.want(stays)
	if n := h.Calls()["CreateTrafficMirrorSession"]; n != 1 {
		t.Errorf("%d sessions were made", n)
	}
}

// A schedule's event mends what events that were lost did not do.
func TestLambdaSchedule(t *testing.T) {
	h := newHome(t, strings.Replace(homeRules, "sources:\n", "sources:\n  - {name: never, match: {service: [db]}, mirror: false}\n", 1))
	f := newFunction(t, h.dir, "PERISCOPE_RULES=mirror.yaml")
	first, second := h.run("web", ""), h.run("api", "PENDING")
	h.run("db", "")
	schedule := readEvents(t)["scheduled-rule"]
	if got := f.do(schedule); got.Created != 2 || got.Sources != 2 {
		t.Errorf("%+v", got)
	}
	h.want(first, second)
	h.stop(first)
	if got := f.do(schedule); got.Created != 0 || got.Sources != 1 || got.Sessions != 1 {
		t.Errorf("%+v", got)
	}
	h.want(second)
}

// An instance is mirrored from its event on.
func TestLambdaInstance(t *testing.T) {
	h := newHome(t, strings.Replace(homeRules, "{cluster: [shop], service: [web, api]}", `{instance_name: ["web-*"]}`, 1))
	f := newFunction(t, h.dir, "PERISCOPE_RULES=mirror.yaml")
	instance, card, err := h.RunInstance(awsfake.HomeAccount, awsfake.HomeRegion, "web-1", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	if got := f.do(h.InstanceEvent(instance.ID)); got.Created != 1 || len(h.mirrored()) != 1 || h.mirrored()[0] != card.ID {
		t.Errorf("%+v, mirrored %s", got, h.mirrored())
	}
}

// A refusal is no error, so that Lambda does not repeat it: AWS's words are in a line
// of metrics. A process that begins anew does not try again at once.
func TestLambdaRefused(t *testing.T) {
	h := newHome(t, homeRules)
	said := awsfake.Error{Code: "InvalidNetworkInterface.NotSupported", Message: `eni "x" is <requester> managed`}
	h.Fail(awsfake.Fault{Operation: "CreateTrafficMirrorSession", Kind: awsfake.Refused, Error: said})
	task := h.run("web", "")
	environment := []string{"PERISCOPE_RULES=mirror.yaml", "PERISCOPE_CHANGES=changes"}
	f := newFunction(t, h.dir, environment...)
	if got := f.do(h.TaskEvent(task.ARN)); got.Refused != 1 || got.Failed != 0 {
		t.Errorf("%+v", got)
	}
	lines := f.lines(2)
	if len(lines) != 2 || lines[0]["Code"] != said.Code || lines[0]["Message"] != said.Message || lines[0]["Refused"] != 1.0 ||
		lines[0]["Task"] != task.ARN || lines[0]["Interface"] != task.Interface() || lines[0]["Rule"] != "web" || lines[1]["Refused"] != 1.0 {
		t.Errorf("%v", lines)
	}
	if got := f.do(h.TaskEvent(task.ARN)); got.Refused != 0 || got.Held != 1 {
		t.Errorf("%+v", got)
	}
	calls := h.Calls()["CreateTrafficMirrorSession"]
	if got := newFunction(t, h.dir, environment...).do(h.TaskEvent(task.ARN)); got.Refused != 0 || got.Held != 1 || h.Calls()["CreateTrafficMirrorSession"] != calls {
		t.Errorf("%+v", got)
	}
}

// A look that fails is an error, also the first: Lambda repeats the event, and the
// function is as good as before.
func TestLambdaFails(t *testing.T) {
	h := newHome(t, homeRules)
	task := h.run("web", "")
	f := newFunction(t, h.dir, "PERISCOPE_RULES=mirror.yaml")
	remove := h.Fail(awsfake.Fault{Kind: awsfake.Denied})
	if got := f.fail(h.TaskEvent(task.ARN)); !strings.Contains(got, "not authorized") {
		t.Error(got)
	}
	remove()
	if got := f.do(h.TaskEvent(task.ARN)); got.Created != 1 {
		t.Errorf("%+v", got)
	}
	defer h.Fail(awsfake.Fault{Operation: "DescribeTrafficMirrorSessions", Kind: awsfake.Denied})()
	if got := f.fail(h.TaskEvent(task.ARN)); !strings.Contains(got, "not authorized") {
		t.Error(got)
	}
	lines := f.lines(3)
	if failed := []any{lines[0]["Failed"], lines[1]["Failed"], lines[2]["Failed"]}; !slices.Equal(failed, []any{1.0, 0.0, 1.0}) {
		t.Errorf("failed %v", failed)
	}
}

// That a policy denies a session is an error of the invocation, and no refusal.
func TestLambdaDenied(t *testing.T) {
	h := newHome(t, homeRules)
	task := h.run("web", "")
	f := newFunction(t, h.dir, "PERISCOPE_RULES=mirror.yaml")
	h.Fail(awsfake.Fault{Operation: "CreateTrafficMirrorSession", Kind: awsfake.Denied})
	if got := f.fail(h.TaskEvent(task.ARN)); !strings.Contains(got, "allow ec2:CreateTrafficMirrorSession") {
		t.Error(got)
	}
	if line := f.lines(1)[0]; line["Failed"] != 1.0 || line["Refused"] != 0.0 {
		t.Errorf("%v", line)
	}
}

// Without rules, or with wrong ones, every event is an error that says so, until they
// are right.
func TestLambdaRules(t *testing.T) {
	h := newHome(t, "sources: 7\n")
	schedule := readEvents(t)["scheduled-rule"]
	if got := newFunction(t, h.dir).fail(schedule); !strings.Contains(got, "PERISCOPE_RULES") {
		t.Error(got)
	}
	f := newFunction(t, h.dir, "PERISCOPE_RULES=mirror.yaml")
	if got := f.fail(schedule); !strings.HasPrefix(got, "mirror.yaml:1:") {
		t.Error(got)
	}
	h.rules(homeRules)
	f.do(schedule)
}

// When the time is nearly over nothing is begun, and that is an error, so that Lambda
// repeats the event.
func TestLambdaDeadline(t *testing.T) {
	h := newHome(t, homeRules)
	task := h.run("web", "")
	f := newFunction(t, h.dir, "PERISCOPE_RULES=mirror.yaml")
	f.do(h.TaskEvent(h.run("db", "").ARN)) // which starts it
	calls := h.Calls()
	if a := f.invokeUntil(h.TaskEvent(task.ARN), time.Now().Add(spare)); !a.failed {
		t.Errorf("%s", a.body)
	}
	if !maps.Equal(h.Calls(), calls) {
		t.Errorf("asked %v, before %v", h.Calls(), calls)
	}
	f.do(h.TaskEvent(task.ARN))
	h.want(task)
}

// The metrics are as CloudWatch reads them, and say how long it took.
func TestLambdaMetrics(t *testing.T) {
	h := newHome(t, homeRules)
	task := h.run("web", "")
	f := newFunction(t, h.dir, "PERISCOPE_RULES=mirror.yaml")
	f.do(h.TaskEvent(h.run("db", "").ARN)) // which starts it, so that the next one is not late
	f.do(h.TaskEvent(task.ARN))
	f.do(readEvents(t)["scheduled-rule"])
	lines := f.lines(3)
	if len(lines) != 3 {
		t.Fatalf("%v", lines)
	}
	lines = lines[1:]
	for i, want := range []string{
		"[Created Modified Deleted Refused Held Failed Sessions SecondsToMirror] 1 0 0 0 0 0 0",
		"[Created Modified Deleted Refused Held Failed Sessions Sources] 0 0 0 0 0 0 1 1",
	} {
		var names []string
		directive := lines[i]["_aws"].(map[string]any)["CloudWatchMetrics"].([]any)[0].(map[string]any)
		for _, m := range directive["Metrics"].([]any) {
			names = append(names, m.(map[string]any)["Name"].(string))
		}
		got := fmt.Sprint(names)
		for _, name := range names {
			if name == "SecondsToMirror" {
				continue
			}
			got += fmt.Sprint(" ", lines[i][name])
		}
		if got != want || directive["Namespace"] != "Periscope" || fmt.Sprint(directive["Dimensions"]) != "[[]]" {
			t.Errorf("%s\nwant\n%s\n%v", got, want, directive)
		}
	}
	seconds := lines[0]["SecondsToMirror"].([]any)
	if len(seconds) != 1 || seconds[0].(float64) < 0 || seconds[0].(float64) > 2*patience.Seconds() {
		t.Errorf("seconds %v", seconds)
	}
}
