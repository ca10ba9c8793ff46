package awsfake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
)

// A step is one operation, asked through the SDK and through the command line.
type step struct {
	cli  string                                      // arguments, without what is quoted split
	sdk  func(context.Context, clients) (any, error) // nil: there is nothing to tell
	code string                                      // of the error that is wanted; "" wants a reply
}

// TestAgree runs one script of operations against two endpoints that began
// alike: what makes and changes things through the SDK at the one and through
// the command line at the other, what reads across, so that each is told what
// the other made. Replies and errors are the same field by field, and so is what
// the endpoints know at the end.
func TestAgree(t *testing.T) {
	clock := newClock()
	a := StartAt(t, clock.Now)
	sdkA := newClients(t)
	b := StartAt(t, clock.Now)
	sdkB := newClients(t)
	for _, s := range []*Server{a, b} {
		furnish(t, s)
	}
	cli := newCommandLine(t, b)
	fields := 0
	steps := script(a.State())
	for _, step := range steps {
		reads := regexp.MustCompile(`^\S+ (describe|list|get)-`).MatchString(step.cli)
		sdk, server := sdkA, b
		if reads {
			sdk, server = sdkB, a
		}
		fields += compare(t, step, sdk, cli, server)
	}
	if was, is := must(json.Marshal(a.State()))(t), must(json.Marshal(b.State()))(t); !bytes.Equal(was, is) {
		t.Errorf("the SDK made\n%s\nthe command line made\n%s", was, is)
	}
	calls := a.Calls()
	for name, n := range b.Calls() {
		calls[name] += n
	}
	asked := 0
	for name := range operations {
		if calls[name] > 0 {
			asked++
		}
		// The command line, older than the SDK, does not know that one.
		if calls[name] == 0 && name != "DescribeTrafficMirrorFilterRules" {
			t.Errorf("no step asks %s", name)
		}
	}
	t.Logf("%d steps over %d operations, %d fields compared", len(steps), asked, fields)
}

// compare runs a step both ways and returns how many fields agree. All that is
// sent is seen.
func compare(t *testing.T, s step, sdk clients, cli *commandLine, server *Server) int {
	t.Helper()
	out, err := s.sdk(t.Context(), sdk)
	printed := cli.run(t, server, strings.Fields(s.cli)...)
	code, message := printed.failure(t)
	var refused smithy.APIError
	switch errors.As(err, &refused); {
	case err != nil && refused == nil:
		t.Errorf("%s: the SDK: %v", s.cli, err)
	case refused != nil:
		if refused.ErrorCode() != s.code || code != s.code || refused.ErrorMessage() != message {
			t.Errorf("%s: the SDK has %v, the command line %s: %s, want %s", s.cli, refused, code, message, s.code)
		}
		return 2
	case code != "" || s.code != "":
		t.Errorf("%s: the command line has %q: %s, the SDK nothing, want %q", s.cli, code, message, s.code)
	}
	if out == nil {
		if printed.Out != "" {
			t.Errorf("%s: printed %q, want nothing", s.cli, printed.Out)
		}
		return 0
	}
	encoded := must(json.Marshal(out))(t)
	mine, theirs := leaves(t, encoded), leaves(t, []byte(printed.Out))
	understood := slices.Collect(maps.Values(mine))
	for _, text := range sdk.wire.texts(t) {
		i := slices.Index(understood, text)
		if i < 0 {
			t.Errorf("%s: %q was sent, and the SDK does not see it", s.cli, text)
			continue
		}
		understood = slices.Delete(understood, i, i+1)
	}
	if len(mine) == 0 || len(understood) != 0 {
		t.Errorf("%s: %q was not sent", s.cli, understood)
	}
	maps.DeleteFunc(mine, func(path, _ string) bool { return skipped.MatchString(path) })
	maps.DeleteFunc(theirs, func(path, _ string) bool { return skipped.MatchString(path) })
	for path := range mine {
		if mine[path] != theirs[path] {
			t.Errorf("%s: %s is %q to the SDK, %q to the command line", s.cli, path, mine[path], theirs[path])
		}
	}
	for path := range theirs {
		if _, ok := mine[path]; !ok {
			t.Errorf("%s: %s is %q to the command line, nothing to the SDK", s.cli, path, theirs[path])
		}
	}
	return len(mine)
}

// skipped are fields that differ on purpose: a random token of each client's,
// and what the command line, older than the SDK, does not know.
var skipped = regexp.MustCompile(`^\.(clienttoken|nexttoken|networkinterfaces\[\d+\]\.availabilityzoneid|.*filterrules\[\d+\]\.tags\[\d+\]\.\w+)$`)

// leaves returns the values of a JSON text by path. The SDK has every field of a
// type, the command line those that came, with their names in other case: names
// are in lower case, and what is empty, false or 0 is left out.
func leaves(t *testing.T, text []byte) map[string]string {
	t.Helper()
	var value any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	all := make(map[string]string)
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, v := range value {
				walk(path+"."+strings.ToLower(name), v)
			}
		case []any:
			for i, v := range value {
				walk(fmt.Sprintf("%s[%d]", path, i), v)
			}
		case nil:
		default:
			if text := normal(fmt.Sprint(value)); text != "" {
				all[path] = text
			}
		}
	}
	walk("", value)
	return all
}

// seconds is how ECS sends a time.
var seconds = regexp.MustCompile(`^\d{10}\.\d{3}$`)

// normal returns a value's text in one way, and "" for what is empty, false or 0.
func normal(text string) string {
	if seconds.MatchString(text) {
		var s Seconds
		if err := s.UnmarshalJSON([]byte(text)); err == nil {
			return s.Format(time.RFC3339Nano)
		}
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC().Format(time.RFC3339Nano)
	}
	if text == "0" || text == "false" {
		return ""
	}
	return text
}

// TestAgreeOnPages: the command line reads pages of 5, and stops at 7 of the 12
// sessions, from where it goes on.
func TestAgreeOnPages(t *testing.T) {
	s := Start(t)
	cli := newCommandLine(t, s)
	var made []string
	for range 12 {
		task := must(s.RunTask(Run{Account: HomeAccount, Region: HomeRegion}))(t)
		made = append(made, must(s.Mirror(HomeAccount, HomeRegion, task.Interface(), 7))(t).ID)
	}
	read := func(arguments ...string) (ids []string, next string) {
		printed := cli.run(t, s, append([]string{"ec2", "describe-traffic-mirror-sessions"}, arguments...)...)
		var out struct {
			Sessions []struct {
				ID string `json:"TrafficMirrorSessionId"`
			} `json:"TrafficMirrorSessions"`
			Next string `json:"NextToken"`
		}
		if err := json.Unmarshal([]byte(printed.Out), &out); err != nil {
			t.Fatal(err, printed.Err)
		}
		for _, s := range out.Sessions {
			ids = append(ids, s.ID)
		}
		return ids, out.Next
	}
	first, next := read("--page-size", "5", "--max-items", "7")
	rest, end := read("--page-size", "5", "--starting-token", next)
	if !slices.Equal(slices.Concat(first, rest), made) || len(first) != 7 || end != "" {
		t.Errorf("in pages: %v, then %v and %q; want %v", first, rest, end, made)
	}
	if n := s.Calls()["DescribeTrafficMirrorSessions"]; n != 4 {
		t.Errorf("%d calls for 7 and 5 sessions in pages of 5, want 4", n)
	}
}

// TestProgram runs the program itself: it ends with status 254 for an error of
// the service's.
func TestProgram(t *testing.T) {
	s := Start(t)
	newCommandLine(t, s) // or the test cannot run
	cmd := exec.Command(program, "--endpoint-url", s.URL, "ecs", "list-tasks", "--cluster", "none")
	cmd.Env = environ(s)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	_ = cmd.Run() // the status tells
	p := printed{Status: cmd.ProcessState.ExitCode(), Err: stderr.String()}
	if code, _ := p.failure(t); code != "ClusterNotFoundException" {
		t.Errorf("the program says %q, want ClusterNotFoundException", p.Err)
	}
}
