package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

// The daemon follows tasks that come and go, takes over other rules on SIGHUP, keeps
// the old ones where the new are wrong, and ends on SIGTERM.
func TestRun(t *testing.T) {
	h := newHome(t, homeRules)
	web, db := h.run("web", ""), h.run("db", "")
	p := start(t, h.dir, nil, "run", "--rules", "mirror.yaml", "--every", "1s", "--changes", "changes")
	h.wait(web)
	api := h.run("api", "PENDING")
	h.wait(web, api)
	h.stop(web)
	h.wait(api)

	h.rules("sources: [{name: web, mach: all}]\n")
	p.signal(syscall.SIGHUP)
	p.waitLog("rules not reloaded, the old ones stay in force", 1)
	if log := p.log.String(); !strings.Contains(log, "mirror.yaml:1:") || !strings.Contains(log, "mach") {
		t.Error("the log does not say what is wrong with the rules")
	}
	web = h.run("web", "")
	h.wait(api, web)

	h.rules(strings.Replace(homeRules, "[web, api]", "[db]", 1))
	p.signal(syscall.SIGHUP)
	p.waitLog(`msg="rules reloaded"`, 1)
	h.wait(db)
	p.waitLog(`msg="session deleted"`, 2)
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != exitOK || p.stdout.String() != "" {
		t.Errorf("exit status %d", code)
	}
	if !strings.HasSuffix(p.log.String(), "msg=ended\n") {
		t.Error("the log does not say that it ended")
	}
	h.want(db)
	if files, _ := filepath.Glob(filepath.Join(h.dir, "changes/*/*/*/*/*/*/*.json")); len(files) < 6 {
		t.Errorf("changes %q", files)
	}
}

// The daemon starts while AWS is away, and follows when it is back.
func TestRunBeforeAWS(t *testing.T) {
	h := newHome(t, homeRules)
	task := h.run("web", "")
	remove := h.Fail(awsfake.Fault{Kind: awsfake.Denied})
	p := start(t, h.dir, nil, "run", "--rules", "mirror.yaml", "--every", "1s")
	p.waitLog("not started yet, and tried again", 2)
	remove()
	h.wait(task)
	p.signal(os.Interrupt.(syscall.Signal))
	if code := p.wait(); code != exitOK {
		t.Errorf("exit status %d", code)
	}
}

// One that is to end before it has started ends.
func TestRunEndsBeforeAWS(t *testing.T) {
	h := newHome(t, homeRules)
	h.Fail(awsfake.Fault{Kind: awsfake.Denied})
	p := start(t, h.dir, nil, "run", "--rules", "mirror.yaml", "--every", "1h")
	p.waitLog("not started yet", 1)
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != exitOK {
		t.Errorf("exit status %d", code)
	}
}
