package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/periscope-collector/periscope/internal/pipeline"
)

// runHere runs a command in this process.
func runHere(args ...string) result {
	var out, log bytes.Buffer
	code := execute(args, strings.NewReader(""), &out, &log)
	return result{code: code, stdout: out.String(), stderr: log.String()}
}

// A collector lists its sessions, to people and as JSON, and says what is wrong.
func TestSessions(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "sessions.yaml"), []byte(`sessions:
- {name: web, vni: 7, interface_id: eni-0a1b2c3d4e5f6a7b8, addresses: [10.0.0.1], ecs: {service: shop, task_arn: "arn:aws:ecs:eu-central-1:111122223333:task/prod/0a1b2c3d4e5f6a7b"}}
- {name: quiet, vni: 8, instance_id: i-0a1b2c3d4e5f6a7b8, until: 2099-01-01T00:00:00Z}
- {name: past, vni: 9, until: 2020-01-01T00:00:00Z}
`))
	token := writeFile(t, filepath.Join(dir, "token"), []byte("open sesame\n"))
	c := startRun(t, setup{dir: dir, session: "file: sessions.yaml", admin: "token_file: token"})
	url := c.waitLog(`metrics=(http://\S+)/metrics`, 1)[1]
	vxlan := c.waitLog(`level=(?:INFO|WARN) msg="?listening.* address=(\S+)`, 1)[1]
	asked := func(args ...string) result {
		return runHere(append([]string{"sessions", "--admin", url, "--token-file", token}, args...)...)
	}
	eventually(t, "it answers", func() bool { return asked().code == exitOK })
	for _, vni := range []string{"7", "11"} {
		if r := runHere("send", "--to", vxlan, "--vni", vni, "--count", "120", "--rate", "0"); r.code != exitOK {
			t.Fatal(r)
		}
	}
	list := func(args ...string) (list pipeline.SessionList) {
		r := asked(append(args, "--json")...)
		if err := json.Unmarshal([]byte(r.stdout), &list); r.code != exitOK || err != nil {
			t.Fatal(r, err)
		}
		return list
	}
	eventually(t, "all is counted", func() bool {
		n := uint64(0)
		for _, s := range list().Sessions {
			n += s.Packets
		}
		return n == 240
	})

	r := asked()
	want := regexp.MustCompile(`^SESSION  VNI  INTERFACE              WORKLOAD             SINCE        PACKETS +BYTES  LAST SEEN  LOST
quiet      8  -                      i-0a1b2c3d4e5f6a7b8  -                  0 +0 B  -           0 B
vni-11    11  -                      -                    (?:now|\d+[sm] ago) +120  \S+ KiB  (?:now|\d+[sm] ago) +0 B
web        7  eni-0a1b2c3d4e5f6a7b8  shop/0a1b2c3d        -                120  \S+ KiB  (?:now|\d+[sm] ago) +0 B

unknown: vni-11 \(VNI 11\): nothing explains its VNI; .*
source_mismatch: web \(VNI 7\): 120 of its 120 frames come from .*

AWS is not asked: .*
$`)
	squeeze := func(s string) string { return regexp.MustCompile(` +`).ReplaceAllString(s, " ") }
	pattern := regexp.MustCompile(strings.NewReplacer(" +", " ").Replace(squeeze(want.String())))
	if r.code != exitOK || r.stderr != "" || !pattern.MatchString(squeeze(r.stdout)) {
		t.Errorf("%d, %q\n%s", r.code, r.stderr, r.stdout)
	}
	names := func(l pipeline.SessionList) (names []string) {
		for _, s := range l.Sessions {
			names = append(names, s.Name)
		}
		return names
	}
	if got := fmt.Sprint(names(list())); got != "[quiet vni-11 web]" {
		t.Errorf("sessions %s", got)
	}
	if got := fmt.Sprint(names(list("--all"))); got != "[past quiet vni-11 web]" {
		t.Errorf("all sessions %s", got)
	}
	c.stop()
}

// Every way in which no list comes is a sentence, and the token goes to nobody
// else.
func TestSessionsErrors(t *testing.T) {
	token := writeFile(t, filepath.Join(t.TempDir(), "token"), []byte("sesame"))
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("asked elsewhere, with %q", r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	answer := func(status int, kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			fmt.Fprint(w, text)
		}
	}
	foreign := "what answers at URL is not a periscope collector; name its admin.listen with --admin or its configuration with --config"
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		args    []string
		want    string
	}{
		{"no token", answer(401, "text/plain", "a bearer token is needed\n"), nil,
			"the collector at URL wants a token: name the file of admin.token_file with --token-file, or the configuration with --config"},
		{"wrong token", answer(401, "text/plain", "a bearer token is needed\n"), []string{"--token-file", token},
			"the collector at URL does not take the token of " + token + "; it must be the one in its admin.token_file"},
		{"no file of the token", answer(200, "", ""), []string{"--token-file", "nowhere"},
			"token of the collector: open nowhere: no such file or directory"},
		{"the collector has no token", answer(503, "text/plain", "no token is configured\n"), nil,
			"the collector at URL lets nobody in: its admin.token_file holds no token; its log says why"},
		{"busy", answer(503, "text/plain", "too many requests at once, try again\n"), nil,
			"the collector at URL has too many requests at once; try again"},
		{"earlier version", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/api/v1/ledger" {
				http.NotFound(w, r)
				return
			}
			answer(200, "application/json", `{"balanced": true}`)(w, r)
		}, nil, "the collector at URL is of an earlier version and lists no sessions; upgrade it, URL/api/v1/ledger has its counts"},
		{"not found", http.NotFound, nil, foreign},
		{"not found, and JSON for everything", answer(404, "application/json", `{}`), nil, foreign},
		{"a page", answer(200, "text/html", "<html>"), nil, foreign},
		{"JSON of others", answer(200, "application/json", `{"sessions": 7}`), nil, foreign},
		{"JSON that is too little", answer(200, "application/json", `{}`), nil, foreign},
		{"our JSON as text", answer(200, "text/plain", `{"time":"2026-11-20T00:00:00Z","sessions":[]}`), nil, foreign},
		{"busy elsewhere", answer(503, "text/html", "<html>"), nil, foreign},
		{"redirection", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) },
			[]string{"--token-file", token}, foreign},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewServer(test.handler)
			defer s.Close()
			r := runHere(append([]string{"sessions", "--admin", s.URL}, test.args...)...)
			want := "periscope: " + strings.ReplaceAll(test.want, "URL", s.URL) + "\n"
			if r.code != exitFailure || r.stdout != "" || r.stderr != want {
				t.Errorf("%+v, want\n%s", r, want)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		at := freeAddress(t)
		r := runHere("sessions", "--admin", at)
		if want := "periscope: no collector answers at http://" + at + ": the connection is refused; see "; r.code != exitFailure || !strings.HasPrefix(r.stderr, want) {
			t.Errorf("%+v", r)
		}
	})
	t.Run("no HTTP", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			if c, err := l.Accept(); err == nil {
				c.Write([]byte("220 mail.example.com ESMTP\r\n"))
				c.Close()
			}
		}()
		url := "http://" + l.Addr().String()
		if r := runHere("sessions", "--admin", url); r.stderr != "periscope: "+strings.ReplaceAll(foreign, "URL", url)+"\n" {
			t.Errorf("%+v", r)
		}
	})
}

// Where a collector is comes from --admin, else from --config, else it is where
// one is by default.
func TestSessionsWhere(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string { return writeFile(t, filepath.Join(dir, name), []byte(text)) }
	plain := file("plain.yaml", "drain: 0s\n")
	token := file("token.yaml", "admin: {listen: \"127.0.0.1:1234\", token_file: admin.token}\n")
	open := file("open.yaml", "admin: {listen: \":1234\", token_file: admin.token}\n")
	four := file("four.yaml", "admin: {listen: \"0.0.0.0:1234\", token_file: admin.token}\n")
	six := file("six.yaml", "admin: {listen: \"[::]:1234\", token_file: admin.token}\n")
	one := file("one.yaml", "admin: {listen: \"[::1]:1234\"}\n")
	off := file("off.yaml", "admin: {listen: \"\"}\n")
	for _, test := range []struct {
		c           sessionsCommand
		base, token string
		wrong       string
	}{
		{sessionsCommand{}, "http://127.0.0.1:9477", "", ""},
		{sessionsCommand{admin: "collector:9477"}, "http://collector:9477", "", ""},
		{sessionsCommand{admin: "https://proxy/periscope/"}, "https://proxy/periscope", "", ""},
		{sessionsCommand{config: plain}, "http://127.0.0.1:9477", "", ""},
		{sessionsCommand{config: token}, "http://127.0.0.1:1234", filepath.Join(dir, "admin.token"), ""},
		{sessionsCommand{config: token, tokenFile: "mine", admin: "there:1"}, "http://there:1", "mine", ""},
		{sessionsCommand{config: open}, "http://127.0.0.1:1234", filepath.Join(dir, "admin.token"), ""},
		{sessionsCommand{config: four}, "http://127.0.0.1:1234", filepath.Join(dir, "admin.token"), ""},
		{sessionsCommand{config: six}, "http://[::1]:1234", filepath.Join(dir, "admin.token"), ""},
		{sessionsCommand{config: one}, "http://[::1]:1234", "", ""},
		{sessionsCommand{config: off}, "", "", "admin.listen: off in " + off + ", so the collector cannot be asked; set it, or name another with --admin"},
		{sessionsCommand{admin: "ftp://x"}, "", "", "--admin: want a URL such as http://127.0.0.1:9477"},
		{sessionsCommand{admin: "http://"}, "", "", "--admin: want a URL such as http://127.0.0.1:9477"},
		{sessionsCommand{admin: "http://x/?all"}, "", "", "--admin: want a URL such as http://127.0.0.1:9477"},
		{sessionsCommand{admin: "http://a:b@x"}, "", "", "--admin: want a URL such as http://127.0.0.1:9477"},
		{sessionsCommand{admin: "http://x:port"}, "", "", "--admin: want a URL such as http://127.0.0.1:9477"},
	} {
		base, token, err := test.c.where()
		wrong := ""
		if err != nil {
			wrong = err.Error()
		}
		if base != test.base || token != test.token || wrong != test.wrong {
			t.Errorf("%+v: %q, %q, %q", test.c, base, token, wrong)
		}
	}
}

// Whatever the sessions are, a line of the table is 120 characters at most, and
// names that differ at either end still differ.
func TestSessionsFit(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	long := strings.Repeat("very-", 100)
	list := pipeline.SessionList{Time: now}
	add := func(name string, n uint64) *pipeline.SessionRow {
		list.Sessions = append(list.Sessions, pipeline.SessionRow{
			SessionLedger: pipeline.SessionLedger{Name: name, VNI: 1<<24 - 1, Packets: n, Bytes: n, LostBytes: n},
			Since:         now.Add(-99 * 365 * 24 * time.Hour), LastSeen: now.Add(-47 * time.Hour),
			Holder: pipeline.Holder{InterfaceID: "eni-0123456789abcdef0", Service: long, TaskARN: "task/x/0123456789"},
		})
		return &list.Sessions[len(list.Sessions)-1]
	}
	add(long+"a", 1<<64-1)
	add(long+"b", 9_999_999).InterfaceID = long
	add("x\x1b[31m\n\u202e", 10_000_000).LastSeen = now.Add(time.Hour)
	list.Discovery = &pipeline.Discovery{Scopes: []pipeline.Scope{{Account: "111122223333", Region: "ap-southeast-1", Error: long}, {}}}
	var b strings.Builder
	if err := printSessions(&b, list); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 120 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
	for _, want := range []string{"-a ", "-b ", "x?[31m??", "47h ago", "36135d ago", "1h ahead", "9,999,999", "10 M", "18.4 E", "16 EiB", "never", "…"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// Each flag says what to do; one that a later collector has is told as it is.
func TestSessionsFlagLines(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	known := pipeline.SessionRow{SessionLedger: pipeline.SessionLedger{Name: "web", VNI: 7, Known: true}, Holder: pipeline.Holder{Source: "10.0.0.1"}}
	row := func(flag string, change func(*pipeline.SessionRow)) pipeline.SessionRow {
		r := pipeline.SessionRow{SessionLedger: pipeline.SessionLedger{Name: "s", VNI: 7, Packets: 1200, Mismatched: 7}, Flags: []string{flag}}
		change(&r)
		return r
	}
	for _, test := range []struct {
		row  pipeline.SessionRow
		aws  bool
		want string
	}{
		{row("silent", func(*pipeline.SessionRow) {}), false, "no frame yet; see that its mirror session exists, its filter accepts and its target is this collector"},
		{row("silent", func(r *pipeline.SessionRow) { r.LastSeen = now.Add(-time.Hour) }), false, "the last frame came 1h ago; see that its mirror session exists, its filter accepts and its target is this collector"},
		{row("unknown", func(*pipeline.SessionRow) {}), false, "nothing explains its VNI; add it to the session file, or have AWS asked with aws in the configuration"},
		{row("unknown", func(*pipeline.SessionRow) {}), true, "neither the session file nor AWS explains its VNI; see that aws.accounts and aws.targets name its account and target"},
		{row("source_mismatch", func(*pipeline.SessionRow) {}), false, "7 of its 1,200 frames come from an address that its interface does not have; correct its addresses, or find who sends them"},
		{row("source_mismatch", func(r *pipeline.SessionRow) { r.Resembles, r.Source = "web", "10.0.0.2" }), false, "it has the VNI of web, and another source; add it to the session file, or find who sends it"},
		{row("source_mismatch", func(r *pipeline.SessionRow) { r.Resembles, r.Source = "web", "10.0.0.1" }), false, "it has VNI and source of web, and another interface; the address has passed on, or somebody copies it"},
		{row("one_direction", func(r *pipeline.SessionRow) { r.Ingress = 100 }), false, "all of it is ingress; see that its mirror filter has a rule that accepts egress"},
		{row("one_direction", func(r *pipeline.SessionRow) { r.Egress = 100 }), false, "all of it is egress; see that its mirror filter has a rule that accepts ingress"},
		{row("one_direction", func(r *pipeline.SessionRow) { r.Egress, r.FilterID = 100, "tmf-1" }), true, "all of it is egress; see that its mirror filter tmf-1 has a rule that accepts ingress"},
		{row("stale", func(r *pipeline.SessionRow) { r.Stale = now.Add(-3 * time.Hour) }), true, "AWS was last heard 3h ago, so the address may have passed on; the error is below"},
		{row("stale", func(r *pipeline.SessionRow) { r.Stale = now.Add(-2 * time.Minute) }), true, "AWS has not answered since the start, 2m ago, so the address may have passed on; the error is below"},
		{row("later", func(*pipeline.SessionRow) {}), false, "later"},
	} {
		list := pipeline.SessionList{Time: now, Sessions: []pipeline.SessionRow{test.row, known}}
		if test.aws {
			list.Discovery = &pipeline.Discovery{Scopes: []pipeline.Scope{{}, {LastSuccess: now.Add(-3 * time.Hour)}}}
		}
		want := test.row.Flags[0] + ": s (VNI 7): " + test.want
		if lines := flagLines(&list); len(lines) != 1 || lines[0] != want {
			t.Errorf("%q, want %q", lines, want)
		}
	}
	list := pipeline.SessionList{Sessions: []pipeline.SessionRow{row("later", func(r *pipeline.SessionRow) { r.Remark = "meant" })}}
	if lines, want := flagLines(&list), []string{"later: s (VNI 7): later", "remark: s (VNI 7): meant"}; !slices.Equal(lines, want) {
		t.Errorf("%q, want %q", lines, want)
	}
}
