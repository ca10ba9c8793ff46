package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong is said in one line on standard error, with what to do, and the exit
// status tells bad usage and rules from other failures.
func TestUsage(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "bad.yaml"), "sources: [{name: web, mach: all}]\n")
	writeFile(t, filepath.Join(dir, "faults.yaml"), "owner: \"\"\nsources: [{name: web, match: all, filter: x}]\n")
	const noRules = `which rules? name their file, or s3://BUCKET/KEY, with --rules`
	for _, test := range []struct {
		args string
		want string // the beginning of standard error, after the program's name
	}{
		{"nonsense", `unknown command "nonsense"; periscope-mirror --help lists what exists`},
		{"--nonsense", `unknown flag: --nonsense; periscope-mirror --help lists the flags`},
		{"run --nonsense", `unknown flag: --nonsense; periscope-mirror run --help lists the flags`},
		{"run --rules", `flag needs an argument: --rules; periscope-mirror run --help lists the flags`},
		{"run --every soon", `invalid argument "soon" for "--every" flag: time: invalid duration "soon"; periscope-mirror run --help lists the flags`},
		{"run --rules bad.yaml --every 0s", `--every 0s: want 1s or more`},
		{"run --rules bad.yaml --every 999ms", `--every 999ms: want 1s or more`},
		{"run --rules bad.yaml extra", `periscope-mirror run takes no arguments, got "extra"`},
		{"reconcile extra", `periscope-mirror reconcile takes no arguments, got "extra"`},
		{"check extra", `periscope-mirror check takes no arguments, got "extra"`},
		{"version extra", `periscope-mirror version takes no arguments, got "extra"`},
		{"run", noRules}, {"reconcile", noRules}, {"check", noRules},
		{"check --rules nowhere.yaml", `rules file: stat nowhere.yaml: no such file or directory`},
		{"run --rules nowhere.yaml", `rules file: stat nowhere.yaml: no such file or directory`},
		{"reconcile --rules .", `rules file: . is not a regular file`},
		{"check --rules bad.yaml", `bad.yaml:1:23: sources[0].mach: unknown key; known here: `},
		{"reconcile --rules bad.yaml", `bad.yaml:1:23: sources[0].mach: unknown key; known here: `},
		{"run --rules bad.yaml", `bad.yaml:1:23: sources[0].mach: unknown key; known here: `},
		{"check --rules faults.yaml", `faults.yaml:1:1: targets: no target is listed, and a rule needs one; faults.yaml:1:8: owner: is empty; faults.yaml:2:`},
		{"check --rules s3://", `rules: "s3://" names no bucket of S3; write s3://bucket/prefix`},
		{"check --rules s3:///x.yaml", `rules: "s3:///" names no bucket of S3; write s3://bucket/prefix`},
	} {
		t.Run(test.args, func(t *testing.T) {
			r := runProgram(t, dir, strings.Fields(test.args)...)
			if r.code != exitUsage || r.stdout != "" {
				t.Errorf("exit status %d; standard output %q", r.code, r.stdout)
			}
			if !strings.HasPrefix(r.stderr, "periscope-mirror: "+test.want) || strings.Count(r.stderr, "\n") != 1 || !strings.HasSuffix(r.stderr, "\n") {
				t.Errorf("standard error\n%swant\n%s", r.stderr, test.want)
			}
		})
	}
}

// What S3 says is a failure, and where it was asked is in it.
func TestUsageS3(t *testing.T) {
	h := newHome(t, homeRules)
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"check --rules s3://nobody/mirror.yaml", exitFailure, "rules: s3://nobody/mirror.yaml: "},
		{"check --rules s3://periscope-rules/nothing.yaml", exitFailure, "rules: s3://periscope-rules/nothing.yaml: file does not exist"},
		{"check --rules s3://periscope-rules/bad.yaml", exitUsage, "s3://periscope-rules/bad.yaml:1:10: sources: "},
		{"reconcile --rules mirror.yaml --changes s3://", exitUsage, `changes: "s3://" names no bucket of S3; write s3://bucket/prefix`},
	} {
		h.put("bad.yaml", "sources: 7\n")
		r := runProgram(t, h.dir, strings.Fields(test.args)...)
		if r.code != test.code || r.stdout != "" || !strings.HasPrefix(r.stderr, "periscope-mirror: "+test.want) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: %+v", test.args, r)
		}
	}
	h.put("good.yaml", homeRules)
	if r := runProgram(t, h.dir, "check", "--rules", "s3://periscope-rules/good.yaml"); r.code != exitOK || r.stderr != "" ||
		r.stdout != "s3://periscope-rules/good.yaml is valid: 1 rule and 1 target, sessions of the owner periscope\n" {
		t.Errorf("%+v", r)
	}
}

func TestVersion(t *testing.T) {
	if r := runProgram(t, t.TempDir(), "version"); r.code != exitOK || r.stdout != "periscope-mirror devel\n" || r.stderr != "" {
		t.Errorf("%+v", r)
	}
}

// To an AWS Lambda function its own variable is named.
func TestNoRulesOfFunction(t *testing.T) {
	t.Setenv("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
	if _, err := readRules(t.Context(), ""); err == nil || !strings.HasSuffix(err.Error(), "with PERISCOPE_RULES") {
		t.Errorf("%v", err)
	}
}
