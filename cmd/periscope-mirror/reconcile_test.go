package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		writeFile(t, path, got)
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is\n%swant\n%s", name, got, want)
	}
}

// furnished is a home with something of everything to do: two tasks to mirror, one
// session that points to another filter and one that nothing wants, one interface
// that AWS does not mirror, and sessions of others.
func furnished(t *testing.T) *home {
	h := newHome(t, homeRules)
	first := h.run("web", "")
	h.run("api", "PENDING")
	h.run("db", "")
	branch := h.run("web", "")
	extra := h.run("db", "")
	changed := h.run("api", "")
	h.change(func(r *awsfake.Region) {
		r.Interfaces[branch.Interface()].Type = "branch"
		owned := awsfake.Set[awsfake.Tag]{{Key: "periscope:owner", Value: "periscope"}}
		r.Sessions = map[string]*awsfake.MirrorSession{
			"tms-00000000000000001": {ID: "tms-00000000000000001", InterfaceID: extra.Interface(), TargetID: homeTarget, FilterID: homeFilter, OwnerID: awsfake.HomeAccount, Number: 1, VNI: 1048577, Tags: owned},
			"tms-00000000000000002": {ID: "tms-00000000000000002", InterfaceID: changed.Interface(), TargetID: homeTarget, FilterID: "tmf-00000000000000002", OwnerID: awsfake.HomeAccount, Number: 1, VNI: 1048578, Tags: owned},
			"tms-00000000000000003": {ID: "tms-00000000000000003", InterfaceID: first.Interface(), TargetID: homeTarget, FilterID: homeFilter, OwnerID: awsfake.HomeAccount, Number: 9, VNI: 7},
		}
	})
	return h
}

// A dry run prints what is to be done and does nothing, and reconcile does that;
// the second time there is nothing left to do.
func TestReconcile(t *testing.T) {
	h := furnished(t)
	before := h.mirrored()
	dry := runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--dry-run")
	if dry.code != exitOK || dry.stderr != "" {
		t.Errorf("%+v", dry)
	}
	golden(t, "dry-run.txt", dry.stdout)
	dry = runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--dry-run", "--json")
	if dry.code != exitOK || dry.stderr != "" {
		t.Errorf("%+v", dry)
	}
	golden(t, "dry-run.json", dry.stdout)
	if got := h.mirrored(); strings.Join(got, " ") != strings.Join(before, " ") {
		t.Errorf("a dry run left %s of %s", got, before)
	}

	done := runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--changes", "changes")
	if done.code != exitOK {
		t.Errorf("%+v", done)
	}
	golden(t, "reconcile.txt", done.stdout)
	if got := len(h.mirrored()); got != 4 { // two that were made, one that was changed, one of others
		t.Errorf("%d sessions: %s", got, h.mirrored())
	}
	if files, _ := filepath.Glob(filepath.Join(h.dir, "changes/*/*/*/*/*/*/*.json")); len(files) != 4 {
		t.Errorf("changes %q", files)
	}
	calls := h.Calls()
	again := runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--changes", "changes")
	if again.code != exitOK || !strings.HasPrefix(again.stdout, "Nothing is to be done.\n\nheld: ") || again.stderr != "" {
		t.Errorf("%+v", again)
	}
	for _, name := range []string{"CreateTrafficMirrorSession", "ModifyTrafficMirrorSession", "DeleteTrafficMirrorSession"} {
		if h.Calls()[name] != calls[name] {
			t.Errorf("%s was called again", name)
		}
	}
}

// What AWS refuses is printed in its words, in the table, the sentences and JSON, and
// is no failure. Whoever begins anew with the changes does not try it again at once.
func TestReconcileRefused(t *testing.T) {
	h := newHome(t, homeRules)
	task := h.run("web", "")
	said := awsfake.Error{Code: "InvalidNetworkInterface.NotSupported", Message: `eni "x" is <requester> managed`}
	h.Fail(awsfake.Fault{Operation: "CreateTrafficMirrorSession", Kind: awsfake.Refused, Error: said})
	r := runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--json", "--changes", "changes")
	var out outcomeJSON
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil || r.code != exitOK {
		t.Fatalf("%v: %+v", err, r)
	}
	if len(out.Actions) != 1 || out.Actions[0].Outcome != "refused" || out.Actions[0].Code != said.Code || out.Actions[0].Message != said.Message ||
		out.Actions[0].Workload.TaskARN != task.ARN || out.DryRun {
		t.Errorf("%s", r.stdout)
	}
	calls := h.Calls()["CreateTrafficMirrorSession"]
	r = runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--changes", "changes")
	if r.code != exitOK || !strings.Contains(r.stdout, "held: "+task.Interface()) || !strings.Contains(r.stdout, said.Code+": "+said.Message) {
		t.Errorf("%+v", r)
	}
	if now := h.Calls()["CreateTrafficMirrorSession"]; now != calls {
		t.Errorf("tried %d times", now)
	}
	r = runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml") // which remembers nothing
	if r.code != exitOK || !strings.Contains(r.stdout, "refused: create "+task.Interface()) || !strings.Contains(r.stdout, said.Code+": "+said.Message) {
		t.Errorf("%+v", r)
	}
	h.want()
}

// What fails is a failure, after what was done is printed; a look that fails is one,
// too, on one line.
func TestReconcileFails(t *testing.T) {
	h := newHome(t, homeRules)
	task := h.run("web", "")
	h.Fail(awsfake.Fault{Operation: "CreateTrafficMirrorSession", Kind: awsfake.Internal})
	r := runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml")
	if r.code != exitFailure || !strings.Contains(r.stdout, "failed\n") || !strings.Contains(r.stdout, task.Interface()) ||
		!strings.Contains(r.stderr, "\nperiscope-mirror: 1 of 1 calls failed, the first: create session of "+task.Interface()+": ") {
		t.Errorf("%+v", r)
	}
	h.Fail(awsfake.Fault{Operation: "DescribeTrafficMirrorSessions", Kind: awsfake.Denied})
	r = runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--dry-run")
	if r.code != exitFailure || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "periscope-mirror: look at what is mirrored: ") {
		t.Errorf("%+v", r)
	}
}

// Changes that cannot be written are a failure, of which the sessions are no part.
func TestReconcileUnwritten(t *testing.T) {
	h := newHome(t, homeRules)
	task := h.run("web", "")
	r := runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--changes", "s3://nobody/changes")
	h.want(task)
	if r.code != exitFailure || !strings.Contains(r.stdout, "  done\n") || !strings.HasSuffix(r.stderr, "periscope-mirror: 1 change could not be written; the log says why\n") {
		t.Errorf("%+v", r)
	}
}

// Where no changes can ever be is an error of usage, before anything is done.
func TestReconcileNoChanges(t *testing.T) {
	h := newHome(t, homeRules)
	h.run("web", "")
	for _, at := range []string{"mirror.yaml", "mirror.yaml/changes", "/dev/null/changes", "s3:/bucket/changes", "s3://", "S3://bucket/changes", "https://bucket"} {
		if r := runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--changes", at); r.code != exitUsage || r.stdout != "" || strings.Count(r.stderr, "\n") > 2 {
			t.Errorf("%s: %+v", at, r)
		}
	}
	h.want()
}

// The session that was made is in the JSON, with its id.
func TestReconcileJSON(t *testing.T) {
	h := newHome(t, homeRules)
	h.run("web", "")
	var out outcomeJSON
	r := runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil || len(out.Actions) != 1 || !strings.HasPrefix(out.Actions[0].Session.ID, "tms-") {
		t.Errorf("%v: %+v", err, r)
	}
}
