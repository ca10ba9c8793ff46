package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/discovery"
	"github.com/periscope-collector/periscope/internal/pipeline"
)

// What AWS refuses is a row each, with what it said.
func TestPrintRefused(t *testing.T) {
	now := time.Date(2026, 11, 21, 21, 0, 0, 0, time.UTC)
	list := pipeline.SessionList{Time: now, Discovery: &pipeline.Discovery{Changes: &pipeline.Changes{Error: "no\nbucket"}}}
	for i := range 52 {
		list.Discovery.Refused = append(list.Discovery.Refused, discovery.Refusal{InterfaceID: fmt.Sprintf("eni-%02d", i), Code: "Other", Since: now, Tries: 1})
	}
	list.Discovery.Refused = append(list.Discovery.Refused, discovery.Refusal{
		InterfaceID: "eni-0a1b2c3d4e5f6a7b8", Service: "shop", TaskARN: "arn:aws:ecs:eu-central-1:111122223333:task/prod/0a1b2c3d4e5f6a7b",
		Code: "UnsupportedOperation", Message: "eni-0a1b2c3d4e5f6a7b8 is no source\n\x1b[31m" + strings.Repeat("x", 200), Since: now.Add(-5 * time.Minute), Tries: 12,
	})
	var b strings.Builder
	if err := printSessions(&b, list); err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(b.String(), "\n\n")
	squeezed := strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' }), " ")
	for _, want := range []string{
		"REFUSED WORKLOAD SINCE TRIES CODE MESSAGE\neni-0a1b2c3d4e5f6a7b8 shop/0a1b2c3d 5m ago 12 UnsupportedOperation eni-0a1b2c3d4e5f6a7b8 is no source",
		strings.Repeat("x", 200) + "\neni-51 - now 1 Other\n",
		"Changes of mirror sessions cannot be read: no?bucket\n",
		"eni-03 - now 1 Other\nand 3 more; --json shows all\nWhere AWS does not mirror an interface, and that stays so, let a task send by itself, ",
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, "eni-02") {
		t.Errorf("shown:\n%s", text)
	}
}

// What to do is said once for each kind of refusal that there is.
func TestRefusedAdvice(t *testing.T) {
	now := time.Date(2026, 11, 21, 21, 0, 0, 0, time.UTC)
	var refused []discovery.Refusal
	for _, code := range []string{"UnauthorizedOperation", "TrafficMirrorSourcesPerTargetLimitExceeded", "TrafficMirrorSourcesPerTargetLimitExceeded"} {
		refused = append(refused, discovery.Refusal{InterfaceID: "eni-1", Code: code, Since: now, Tries: 1})
	}
	var b strings.Builder
	writeRefused(&b, refused, now)
	if text := b.String(); strings.Count(text, "another target, or a load balancer") != 1 || strings.Count(text, "let the policy") != 1 || strings.Contains(text, "send --interface") {
		t.Errorf("%s", text)
	}
	b.Reset()
	writeRefused(&b, []discovery.Refusal{{InterfaceID: "eni-1", Code: "OperationNotSupported"}}, now)
	if text := b.String(); strings.Count(text, "Where ") != 1 || !strings.Contains(text, "send --interface") {
		t.Errorf("%s", text)
	}
}
