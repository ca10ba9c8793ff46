package main

import (
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

// A filter that is not there is told before anything is tried, unless nobody may ask
// for filters.
func TestReconcileFilter(t *testing.T) {
	h := newHome(t, strings.Replace(homeRules, homeFilter, "tmf-00000000000000009", 1))
	task := h.run("web", "")
	for _, args := range [][]string{{"--dry-run"}, nil} {
		r := runProgram(t, h.dir, append([]string{"reconcile", "--rules", "mirror.yaml"}, args...)...)
		if r.code != exitOK || !strings.Contains(r.stdout, "held: "+task.Interface()) || !strings.Contains(r.stdout, "its filter is not there: tmf-00000000000000009\n") {
			t.Errorf("%q: %+v", args, r)
		}
	}
	if n := h.Calls()["CreateTrafficMirrorSession"]; n != 0 {
		t.Errorf("tried %d times", n)
	}
	h.Fail(awsfake.Fault{Operation: "DescribeTrafficMirrorFilters", Kind: awsfake.Denied})
	r := runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--dry-run")
	if r.code != exitOK || !strings.HasPrefix(r.stdout, "ACTION") || !strings.Contains(r.stderr, "whether the filters of the rules are there is not known") || !strings.Contains(r.stderr, "ec2:DescribeTrafficMirrorFilters") {
		t.Errorf("%+v", r)
	}
	h.rules(homeRules)
	calls := h.Calls()["DescribeTrafficMirrorFilters"]
	if r := runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml"); r.code != exitOK || h.Calls()["DescribeTrafficMirrorFilters"] == calls {
		t.Errorf("%+v", r)
	}
	h.want(task)
}
