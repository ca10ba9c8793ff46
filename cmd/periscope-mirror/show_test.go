package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/mirror"
)

// What others named cannot move the cursor or break a line, and no line of the table
// is wider than 120 characters.
func TestShowHostile(t *testing.T) {
	nasty := "a\x1b[31m\nb\u202e" + strings.Repeat("w", 200)
	source := &mirror.Source{InterfaceID: "eni-1", Task: &mirror.Task{ARN: "t/" + nasty, Service: nasty}}
	o := outcome{
		results: []mirror.Result{
			{Action: mirror.Action{Verb: mirror.Create, Session: mirror.Session{InterfaceID: nasty}, Source: source, Reason: nasty}, Session: mirror.Session{InterfaceID: nasty, TargetID: nasty}, Outcome: mirror.Failed, Err: errors.New(nasty)},
			{Action: mirror.Action{Verb: mirror.Delete}, Outcome: mirror.Gone, Err: mirror.ErrGone},
		},
		plan: &mirror.Plan{
			Held:    []mirror.Held{{Session: mirror.Session{InterfaceID: "eni-2"}, Reason: nasty}},
			Notices: []mirror.Notice{{Quota: mirror.QuotaSources, ID: "tmt-1", Used: 8, Limit: 10}, {Quota: mirror.QuotaSessions, Used: 9000, Limit: 10000}},
		},
	}
	var out bytes.Buffer
	if err := printOutcome(&out, o); err != nil {
		t.Fatal(err)
	}
	table, rest, _ := strings.Cut(out.String(), "\n\n")
	for line := range strings.Lines(table) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 120 {
			t.Errorf("%d characters: %q", n, line)
		}
	}
	if strings.ContainsAny(out.String(), "\x1b\u202e") || strings.Count(table, "\n") != 2 || strings.Count(rest, "\n") != 5 {
		t.Errorf("%q", &out)
	}
	for _, want := range []string{"quota: sources of the target tmt-1: 8 of 10\n", "quota: sessions of the account: 9000 of 10000\n", "held: eni-2 (-): a?[31m?b?www"} {
		if !strings.Contains(rest, want) {
			t.Errorf("no %q in\n%s", want, rest)
		}
	}
	out.Reset()
	if err := printJSON(&out, o); err != nil || !json.Valid(out.Bytes()) {
		t.Errorf("%v\n%s", err, &out)
	}
}

func TestWorkload(t *testing.T) {
	for want, source := range map[string]*mirror.Source{
		"-":            nil,
		"web/01234567": {Task: &mirror.Task{ARN: "arn:aws:ecs:r:a:task/shop/0123456789", Service: "web", Family: "f"}},
		"job/0123":     {Task: &mirror.Task{ARN: "arn:aws:ecs:r:a:task/0123", Family: "job"}},
		"db-1":         {Instance: &mirror.Instance{ID: "i-1", Name: "db-1"}},
		"i-1":          {Instance: &mirror.Instance{ID: "i-1"}},
	} {
		if got := workload(source); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := workload(&mirror.Source{}); got != "-" {
		t.Error(got)
	}
}
