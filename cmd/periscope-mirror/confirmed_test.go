package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/mirror"
)

// A session that is wanted again within ten minutes is made again, with changes at
// once, without them when it was seen that AWS's answer is the one of before.
func TestReconcileAfterDelete(t *testing.T) {
	for _, changes := range [][]string{{"--changes", "changes"}, nil} {
		h := newHome(t, homeRules)
		task := h.run("web", "")
		args := append([]string{"reconcile", "--rules", "mirror.yaml"}, changes...)
		for i := range 2 {
			h.rules(homeRules)
			r := runProgram(t, h.dir, args...)
			if h.want(task); r.code != exitOK || r.stderr != "" || strings.Count(r.stdout, "  done\n") != 1 {
				t.Errorf("%q, %d: %+v", changes, i, r)
			}
			if before := strings.Contains(r.stdout, "of before, which is not there"); before != (i > 0 && changes == nil) {
				t.Errorf("%q, %d: %+v", changes, i, r)
			}
			h.rules(strings.Replace(homeRules, "[web, api]", "[db]", 1))
			if r := runProgram(t, h.dir, args...); r.code != exitOK {
				t.Errorf("%q, %d: %+v", changes, i, r)
			}
			h.want()
		}
		if files, _ := filepath.Glob(filepath.Join(h.dir, "changes/*/*/*/*/*/*/*_created_*.json")); changes != nil && len(files) != 2 {
			t.Errorf("made: %q", files)
		}
	}
}

// What is listed late is waited for, and what is never listed ends in an error.
func TestConfirmedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for late, want := range map[time.Duration]string{0: "", 5 * time.Second: "", time.Hour: "AWS answers with sessions that are not there, 5 times in a row; do it again in 10 minutes"} {
			p, m := newPlain(t, 2)
			p.late = late
			var o outcome
			err := m.confirmed(t.Context(), &o)
			if got := errorText(err); got != want {
				t.Errorf("%v late: %q", late, got)
			}
			if done := o.results[0].Outcome == mirror.Done; done != (want == "") || done && len(o.results) != 2 {
				t.Errorf("%v late: %+v", late, o.results)
			}
		}
		p, m := newPlain(t, 1)
		p.late = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := m.confirmed(ctx, new(outcome)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at the end: %v", err)
		}
	})
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A policy that denies a call is a failure that names it, and no refusal.
func TestReconcileDenied(t *testing.T) {
	h := newHome(t, homeRules)
	task := h.run("web", "")
	h.Fail(awsfake.Fault{Operation: "CreateTrafficMirrorSession", Kind: awsfake.Denied})
	r := runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--changes", "changes")
	last := r.stderr[strings.LastIndex(strings.TrimSuffix(r.stderr, "\n"), "\n")+1:]
	if r.code != exitFailure || !strings.Contains(r.stdout, "failed\n") || !strings.HasPrefix(last, "periscope-mirror: 1 of 1 calls failed, the first: create session of "+task.Interface()+": ") ||
		!strings.Contains(last, "UnauthorizedOperation") || !strings.Contains(last, "allow ec2:CreateTrafficMirrorSession") {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "changes")); err == nil {
		if files, _ := filepath.Glob(filepath.Join(h.dir, "changes/*/*/*/*/*/*/*.json")); len(files) != 0 {
			t.Errorf("changes %q", files)
		}
	}
	h.want()
}
