package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/periscope-collector/periscope/sink/splunk"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

// What is taken now is gone from the spool, what is refused again is there.
func TestSpoolResend(t *testing.T) {
	s := hectest.New(t, hecToken)
	good, bad, other := refusedLine(t, "flow", 6, `{"event":"a <b>"}`), refusedLine(t, "flow", 13, `{"event":""}`), refusedLine(t, "flow", 6, `{"event":"c"}`)
	config, dir := spoolOf(t, s, good+bad+"\x00torn\n"+other)
	r := runProgram(t, "spool", "resend", "--config", config)
	if r.code != exitFailure || r.stdout != "2 events were taken, 1 refused again, 1 lines cannot be read\n" ||
		r.stderr != "periscope: spool: 2 events were not taken; the first: "+s.URL+": status 400, code 13, event field cannot be blank: "+badEvent+"\n" {
		t.Errorf("%+v", r)
	}
	if got := fmt.Sprintf("%s", s.Events()); got != `[{"event":"a \u003cb\u003e"} {"event":"c"}]` {
		t.Errorf("taken: %s", got)
	}
	wantSpool(t, dir, bad+"\x00torn\n")

	// Nothing is sent twice, and what was refused once more stays.
	if r = runProgram(t, "spool", "resend", "--config", config); r.code != exitFailure || len(s.Events()) != 2 {
		t.Errorf("%+v, %d events", r, len(s.Events()))
	}
	wantSpool(t, dir, bad+"\x00torn\n")

	// Without any there is nothing to do.
	if err := os.Remove(filepath.Join(dir, splunk.QuarantineName)); err != nil {
		t.Fatal(err)
	}
	if r = runProgram(t, "spool", "resend", "--config", config); r != (result{stdout: "no event was refused\n"}) {
		t.Errorf("%+v", r)
	}
}

// wantSpool wants that lines are refused, and none taken aside.
func wantSpool(t *testing.T, dir, want string) {
	t.Helper()
	fi, err := os.Stat(filepath.Join(dir, splunk.QuarantineName))
	text, readErr := os.ReadFile(filepath.Join(dir, splunk.QuarantineName))
	if err != nil || readErr != nil || string(text) != want || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, refused are\n%s\nwant\n%s", err, text, want)
	}
	if isExist(filepath.Join(dir, resendFile)) {
		t.Errorf("%s is still there", resendFile)
	}
}

// While nothing can be sent everything stays.
func TestSpoolResendNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		set  func(s *hectest.Server)
		want string // what the error says of the first
	}{
		"token refused": {func(s *hectest.Server) { s.SetTokens("another") }, "status 403, code 4, invalid token: "},
		"busy":          {func(s *hectest.Server) { s.Always(hectest.Answer{Status: 503, Body: `{"code":9}`}) }, "status 503, code 9, server is busy: "},
		"not indexed": {func(s *hectest.Server) {
			s.SetAcks(hectest.Acks{On: true})
			s.ScriptAcks(hectest.Answer{Status: 400, Body: `{"text":"Invalid data channel","code":11}`})
		}, "it was not acknowledged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := hectest.New(t, hecToken)
			tt.set(s)
			first, second := refusedLine(t, "flow", 6, `{"event":"a"}`), refusedLine(t, "flow", 6, `{"event":"b"}`)
			config, dir := spoolOf(t, s, first+strings.TrimSuffix(second, "\n"))
			r := runProgram(t, "spool", "resend", "--config", config)
			if r.code != exitFailure || r.stdout != "0 events were taken, 2 not sent\n" ||
				!strings.HasPrefix(r.stderr, "periscope: spool: 2 events were not taken; the first: ") || !strings.Contains(r.stderr, tt.want) {
				t.Errorf("%+v", r)
			}
			wantSpool(t, dir, first+second)
		})
	}
}

// Without a token resend does not wait for one.
func TestSpoolResendWithoutToken(t *testing.T) {
	s := hectest.New(t, hecToken)
	line := refusedLine(t, "flow", 6, `{"event":"a"}`)
	config, dir := spoolOf(t, s, line)
	writeFile(t, filepath.Join(filepath.Dir(config), "hec.token"), nil)
	r := runProgram(t, "spool", "resend", "--config", config)
	if r.code != exitFailure || !strings.HasSuffix(r.stderr, "hec.token: no token in it; put one token on a line\n") || len(s.Seen()) != 0 {
		t.Errorf("%+v", r)
	}
	if !isExist(filepath.Join(dir, resendFile)) {
		t.Error("the events are gone")
	}
}

// What is not acknowledged when the command is interrupted goes back.
func TestSpoolResendInterrupted(t *testing.T) {
	s := hectest.New(t, hecToken)
	s.SetAcks(hectest.Acks{On: true, After: -1})
	line := refusedLine(t, "flow", 6, `{"event":"a"}`)
	config, dir := spoolOf(t, s, line)
	p := newProcess(t, "spool", "resend", "--config", config).start()
	eventually(t, "the event is sent", func() bool { return len(s.Events()) == 1 })
	p.signal(syscall.SIGINT)
	if code := p.wait(); code != exitFailure || p.stdout.String() != "0 events were taken, 1 not sent\n" {
		t.Errorf("exit status %d, %q, %q", code, p.stdout.String(), p.log.String())
	}
	wantSpool(t, dir, line)
}

// A resend that was killed left its file, which the next one sends first. What
// the sink has refused since then follows at the one after.
func TestSpoolResendAfterCrash(t *testing.T) {
	s := hectest.New(t, hecToken)
	s.SetAcks(hectest.Acks{On: true})
	config, dir := spoolOf(t, s, refusedLine(t, "flow", 6, `{"event":"later"}`))
	aside := writeFile(t, filepath.Join(dir, resendFile), []byte(refusedLine(t, "flow", 6, `{"event":"first"}`)))
	if r := runProgram(t, "spool", "resend", "--config", config); r != (result{stdout: "1 events were taken\n"}) || isExist(aside) {
		t.Errorf("%+v", r)
	}
	if r := runProgram(t, "spool", "resend", "--config", config); r != (result{stdout: "1 events were taken\n"}) || isExist(filepath.Join(dir, splunk.QuarantineName)) {
		t.Errorf("%+v", r)
	}
	if got := fmt.Sprintf("%s", s.Events()); got != `[{"event":"first"} {"event":"later"}]` {
		t.Errorf("taken: %s", got)
	}
}
