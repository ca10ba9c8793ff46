package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

// awsProgram is Debian's AWS command line; others of its name may come first in PATH.
const awsProgram = "/usr/bin/aws"

// seenSessions returns the sessions that the AWS command line lists, by id.
func seenSessions(t *testing.T, s *awsfake.Server) map[string]sessionJSON {
	t.Helper()
	cmd := exec.Command(awsProgram, "--endpoint-url", s.URL, "--output", "json", "ec2", "describe-traffic-mirror-sessions")
	cmd.Env = append(os.Environ(), "AWS_MAX_ATTEMPTS=1", "TZ=UTC")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("aws: %v\n%s", err, complaint.Bytes())
	}
	var listed struct {
		TrafficMirrorSessions []struct {
			TrafficMirrorSessionID string `json:"TrafficMirrorSessionId"`
			TrafficMirrorTargetID  string `json:"TrafficMirrorTargetId"`
			TrafficMirrorFilterID  string `json:"TrafficMirrorFilterId"`
			NetworkInterfaceID     string `json:"NetworkInterfaceId"`
			PacketLength           int
			SessionNumber          int
			VirtualNetworkID       uint32 `json:"VirtualNetworkId"`
		}
	}
	if err := json.Unmarshal(out, &listed); err != nil {
		t.Fatalf("%v in\n%s", err, out)
	}
	seen := make(map[string]sessionJSON)
	for _, l := range listed.TrafficMirrorSessions {
		seen[l.TrafficMirrorSessionID] = sessionJSON{
			l.TrafficMirrorSessionID, l.NetworkInterfaceID, l.TrafficMirrorTargetID, l.TrafficMirrorFilterID,
			l.SessionNumber, l.VirtualNetworkID, l.PacketLength,
		}
	}
	return seen
}

// TestCommandLineSeesThePlan has the AWS command line list the sessions before a plan
// and after it: those of after are those of before and what the plan says, no more and
// no less, and a plan that is not carried out changes nothing.
func TestCommandLineSeesThePlan(t *testing.T) {
	if _, err := os.Stat(awsProgram); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("needs %s: run make tools", awsProgram)
		}
		t.Skipf("needs %s: run make tools", awsProgram)
	}
	s := awsfake.Start(t)
	_, theirs, err := s.RunInstance(awsfake.HomeAccount, awsfake.HomeRegion, "theirs", netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	// Somebody else's session, with the target and the filter that it makes.
	other, err := s.Mirror(awsfake.HomeAccount, awsfake.HomeRegion, theirs.ID, 7)
	if err != nil {
		t.Fatal(err)
	}
	run := func(service string) {
		t.Helper()
		if _, err := s.RunTask(awsfake.Run{Account: awsfake.HomeAccount, Region: awsfake.HomeRegion, Service: service}); err != nil {
			t.Fatal(err)
		}
	}
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	want := func(service string, length int) {
		t.Helper()
		text := fmt.Sprintf("targets: [{id: %s}]\nsources:\n  - {name: all, match: {service: [%s]}, filter: %s, packet_length: %d}\n",
			other.TargetID, service, other.FilterID, length)
		if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		run("web")
	}
	run("db")

	before := seenSessions(t, s)
	for _, step := range []struct {
		name   string
		change func()
		verbs  []string
	}{
		{"the first tasks", func() { want("web", 8500) }, []string{"create", "create", "create"}},
		{"one more task", func() { run("web") }, []string{"create"}},
		{"shorter packets", func() { want("web", 128) }, []string{"modify", "modify", "modify", "modify"}},
		{"another service", func() { want("db", 128) }, []string{"create", "delete", "delete", "delete", "delete"}},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.change()
			plan := reconciled(t, "--rules", rules, "--dry-run")
			if now := seenSessions(t, s); !maps.Equal(now, before) {
				t.Errorf("after a dry run there are %v, before there were %v", now, before)
			}
			done := reconciled(t, "--rules", rules)
			after := seenSessions(t, s)
			if want := planned(t, before, plan, done); !maps.Equal(after, want) {
				t.Errorf("the command line sees\n%v, the plan says\n%v", after, want)
			}
			var verbs []string
			for _, a := range plan.Actions {
				verbs = append(verbs, a.Verb)
			}
			if slices.Sort(verbs); !slices.Equal(verbs, step.verbs) {
				t.Errorf("the plan is %v, want %v", verbs, step.verbs)
			}
			if after[other.ID] != before[other.ID] || after[other.ID].ID == "" {
				t.Errorf("somebody else's session is %+v, was %+v", after[other.ID], before[other.ID])
			}
			if again := reconciled(t, "--rules", rules, "--dry-run"); len(again.Actions) != 0 {
				t.Errorf("then the plan is %+v, want nothing", again.Actions)
			}
			before = after
		})
	}
}

// reconciled runs reconcile, and returns what it printed.
func reconciled(t *testing.T, args ...string) (o outcomeJSON) {
	t.Helper()
	var out, complaint bytes.Buffer
	if code := execute(append([]string{"reconcile", "--json"}, args...), &out, &complaint); code != exitOK {
		t.Fatalf("exit status %d\n%s%s", code, out.Bytes(), complaint.Bytes())
	}
	if err := json.Unmarshal(out.Bytes(), &o); err != nil {
		t.Fatalf("%v in\n%s", err, out.Bytes())
	}
	return o
}

// planned returns what is there after a plan. The ids of what it makes are those of
// what was done.
func planned(t *testing.T, before map[string]sessionJSON, plan, done outcomeJSON) map[string]sessionJSON {
	t.Helper()
	made := make(map[string]string) // ids, by interface
	for _, a := range done.Actions {
		if a.Verb == "create" {
			made[a.Session.Interface] = a.Session.ID
		}
	}
	after := maps.Clone(before)
	for _, a := range plan.Actions {
		session := a.Session
		switch a.Verb {
		case "create":
			session.ID = made[session.Interface]
			after[session.ID] = session
		case "modify":
			if before[session.ID] != *a.Before {
				t.Errorf("the plan changes %+v, which is %+v", *a.Before, before[session.ID])
			}
			after[session.ID] = session
		case "delete":
			if _, ok := after[session.ID]; !ok {
				t.Errorf("the plan deletes %+v, which is not there", session)
			}
			delete(after, session.ID)
		}
	}
	return after
}
