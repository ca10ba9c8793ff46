package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/mirror"
)

// page returns docs/mirror.md, and the text of its blocks by kind.
func page(t *testing.T) (text string, blocks map[string][]string) {
	t.Helper()
	data, err := os.ReadFile("../../docs/mirror.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks = make(map[string][]string)
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(string(data), -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}
	return string(data), blocks
}

// The commands of docs/mirror.md do what it says, and print what it shows.
func TestPageCommands(t *testing.T) {
	_, blocks := page(t)
	script := ""
	for line := range strings.Lines(strings.Join(blocks["sh"], "")) {
		script += inTurn(strings.TrimSpace(line))
	}
	if strings.Count(script, "periscope-mirror ") != 4 || len(blocks["text"]) != 2 {
		t.Fatalf("commands\n%s", script)
	}
	h := furnished(t)
	out := shell(t, h.dir, script)
	if !strings.Contains(out, blocks["text"][0]) {
		t.Errorf("not\n%s\nin\n%s", blocks["text"][0], out)
	}
	if got := len(h.mirrored()); got != 4 {
		t.Errorf("mirrored %s", h.mirrored())
	}
}

// The JSON is what reconcile prints, key by key, and it prints no others.
func TestPageJSON(t *testing.T) {
	_, blocks := page(t)
	decoder := json.NewDecoder(strings.NewReader(blocks["json"][0]))
	decoder.DisallowUnknownFields()
	var shown outcomeJSON
	if err := decoder.Decode(&shown); err != nil {
		t.Fatal(err)
	}
	h := newHome(t, homeRules)
	h.run("web", "")
	h.Fail(awsfake.Fault{Operation: "CreateTrafficMirrorSession", Kind: awsfake.Refused,
		Error: awsfake.Error{Code: shown.Actions[0].Code, Message: shown.Actions[0].Message}})
	var done outcomeJSON
	if err := json.Unmarshal([]byte(runProgram(t, h.dir, "reconcile", "--rules", "mirror.yaml", "--json").stdout), &done); err != nil {
		t.Fatal(err)
	}
	if len(shown.Notices) != 1 || shown.Notices[0].Quota != mirror.QuotaSources {
		t.Errorf("notices %v", shown.Notices)
	}
	shown.Held, shown.Notices = done.Held, done.Notices
	shown.Actions[0].Session.VNI, shown.Actions[0].Workload.TaskARN = done.Actions[0].Session.VNI, done.Actions[0].Workload.TaskARN
	want, got := asJSON(t, shown), asJSON(t, done)
	if got != want {
		t.Errorf("printed\n%s\nthe page has\n%s", got, want)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The metrics of the page are those that are written.
func TestPageMetrics(t *testing.T) {
	text, _ := page(t)
	_, rows, _ := strings.Cut(text, "| metric | unit | meaning |\n")
	rows, _, _ = strings.Cut(rows, "\n\n")
	var named []string
	for row := range strings.Lines(rows) {
		first, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(first, -1) {
			named = append(named, m[1])
		}
	}
	var out strings.Builder
	if err := writeTally(&out, time.Now(), &tally{looked: true, whole: true, seconds: []float64{1}}); err != nil {
		t.Fatal(err)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
		t.Fatal(err)
	}
	var written []string
	for name := range line {
		if name != "_aws" {
			written = append(written, name)
		}
	}
	slices.Sort(named)
	slices.Sort(written)
	if !slices.Equal(named, written) {
		t.Errorf("the page has %s, written are %s", named, written)
	}
}

// The lines of the log that the page explains are there, and so are the variables
// that it names.
func TestPageNames(t *testing.T) {
	text, _ := page(t)
	sources := ""
	for _, pattern := range []string{"*.go", "../../mirror/*.go", "../../mirror/cloud/*.go"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(path, "_test.go") {
				sources += string(data)
			}
		}
	}
	_, rows, _ := strings.Cut(text, "| line | what to do |\n")
	rows, _, _ = strings.Cut(rows, "\n\n")
	found := 0
	for row := range strings.Lines(rows) {
		first, _, _ := strings.Cut(strings.TrimPrefix(row, "|"), "|")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(first, -1) {
			message, kind, _ := strings.Cut(m[1], "session ")
			found++
			if message == "" {
				if !strings.Contains(sources, `"session "+`) || !slices.Contains([]string{"created", "modified", "deleted"}, kind) {
					t.Errorf("nobody logs %q", m[1])
				}
			} else if !strings.Contains(sources, `"`+m[1]+`"`) {
				t.Errorf("nobody logs %q", m[1])
			}
		}
	}
	if found != 13 {
		t.Errorf("%d lines", found)
	}
	for _, variable := range []string{"PERISCOPE_RULES", "PERISCOPE_CHANGES", "AWS_LAMBDA_LOG_LEVEL"} {
		if !strings.Contains(text, "\n| `"+variable+"` |") || !strings.Contains(sources, `"`+variable+`"`) {
			t.Errorf("%s is not in the page, or not read", variable)
		}
	}
}

// The unit is one that systemd takes.
func TestPageUnit(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs systemd-analyze: run make tools")
		}
		t.Skip("needs systemd-analyze: run make tools")
	}
	_, blocks := page(t)
	_, command, _ := strings.Cut(blocks["ini"][0], "ExecStart=/usr/local/bin/")
	command, _, _ = strings.Cut(command, "\n")
	h := newHome(t, homeRules)
	h.run("web", "")
	command = strings.NewReplacer("/etc/periscope/", "", "/var/lib/", "").Replace(command)
	shell(t, h.dir, inTurn(command))
	path := writeFile(t, filepath.Join(t.TempDir(), "periscope-mirror.service"),
		strings.Replace(blocks["ini"][0], "ExecStart=/usr/local/bin/periscope-mirror", "ExecStart=/bin/true", 1))
	if out, err := exec.Command("systemd-analyze", "verify", path).CombinedOutput(); err != nil || len(out) != 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
