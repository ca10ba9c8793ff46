package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/config"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

const hecToken = "5ecc3700-0000-4000-8000-000000000001"

// splunkConfig is a configuration for endpoints, with a token in a file.
func splunkConfig(t *testing.T, urls ...string) config.Splunk {
	t.Helper()
	c := config.DefaultSplunk()
	c.TokenFile = writeFile(t, filepath.Join(t.TempDir(), "token"), []byte(hecToken+"\n"))
	for _, u := range urls {
		c.Endpoints = append(c.Endpoints, config.Endpoint{URL: u})
	}
	return c
}

// steps runs a check and returns what it wrote.
func steps(t *testing.T, c config.Splunk) (string, error) {
	t.Helper()
	var b bytes.Buffer
	err := checkSplunk(t.Context(), &c, &b)
	if text := b.String() + fmt.Sprint(err); strings.Contains(text, hecToken) {
		t.Errorf("it prints the token:\n%s", text)
	}
	return b.String(), err
}

func TestCheckSplunk(t *testing.T) {
	s := hectest.New(t, hecToken)
	s.SetIndexes("net", "ops")
	c := splunkConfig(t, s.URL)
	c.Index = "net"
	c.Indexes.Ledger = "ops"
	c.Records = []string{"vpcflow", "flow", "ledger"}
	got, err := steps(t, c)
	addr := s.Listener.Addr().String()
	want := s.URL + `
  ok      name             127.0.0.1 is an address
  ok      connection       plain http to ` + addr + `
  ok      health           status 200, code 17, healthy
  ok      token            accepted
  ok      index net        takes events, those of flow, vpcflow
  ok      index ops        takes events, those of ledger
  -       acknowledgement  the token has none; an event counts as delivered when the server has taken it
`
	if err != nil || got != want {
		t.Errorf("%v\n%swant\n%s", err, got, want)
	}
	events := s.Events()
	if len(events) != 2 {
		t.Fatalf("%d events, want one for each index", len(events))
	}
	for i, index := range []string{"net", "ops"} {
		var e struct{ Sourcetype, Source, Index string }
		if err := json.Unmarshal(events[i], &e); err != nil || e.Sourcetype != "periscope:check" || e.Source != "periscope" || e.Index != index {
			t.Errorf("%v, %s", err, events[i])
		}
	}
}

// Every step that may fail, with what to do.
func TestCheckSplunkFails(t *testing.T) {
	refusing := "http://" + freeAddress(t)
	for _, tt := range []struct {
		name   string
		set    func(s *hectest.Server, c *config.Splunk)
		failed []string // lines, without what stands before
	}{
		{"no name", func(_ *hectest.Server, c *config.Splunk) { c.Endpoints[0].URL = "https://nowhere.invalid:8088" },
			[]string{`name +lookup nowhere\.invalid.*; check the name, and the resolver of this machine`}},
		{"nobody there", func(_ *hectest.Server, c *config.Splunk) { c.Endpoints[0].URL = refusing },
			[]string{`connection +dial tcp .*: connection refused; check the port, .*`}},
		{"no TLS there", func(s *hectest.Server, c *config.Splunk) {
			c.Endpoints[0].URL = strings.Replace(s.URL, "http:", "https:", 1)
		}, []string{`connection .*; the port speaks no TLS: check the port, .*`}},
		{"health", func(s *hectest.Server, _ *config.Splunk) {
			s.SetHealth(hectest.Answer{Status: 503, Body: `{"text":"HEC is unhealthy, queues are full","code":18}`})
		}, []string{`health +status 503, code 18, unhealthy, queues are full: the server has no room: .*`}},
		{"another server", func(s *hectest.Server, _ *config.Splunk) {
			s.SetHealth(hectest.Answer{Status: 200, Body: "<html>" + hecToken})
			s.Always(hectest.Answer{Status: 404, Body: "<html>" + hecToken})
		}, []string{`health +status 200 without a code: this is not the HTTP Event Collector, or .*`,
			`event +status 404 without a code: this is not the port of the HTTP Event Collector, or the collector is off`}},
		{"a redirect", func(s *hectest.Server, _ *config.Splunk) {
			s.Always(hectest.Answer{Status: 302, Header: http.Header{"Location": {"http://elsewhere"}}})
		}, []string{`event +status 302 without a code: it points elsewhere, and redirects are not followed: .*`}},
		{"no token file", func(_ *hectest.Server, c *config.Splunk) { c.TokenFile += ".none" },
			[]string{`token +token file: open .*\.none: no such file or directory; put the token there, .*`}},
		{"another token", func(s *hectest.Server, _ *config.Splunk) { s.SetTokens("another") },
			[]string{`token +status 403, code 4, invalid token: Splunk does not know the token: .*`}},
		{"token disabled", func(s *hectest.Server, _ *config.Splunk) {
			s.Always(hectest.Answer{Status: 403, Body: `{"text":"Token disabled","code":1}`})
		}, []string{`token +status 403, code 1, token disabled: enable the token in Splunk, .*`}},
		{"an index", func(s *hectest.Server, _ *config.Splunk) { s.SetIndexes("net") },
			[]string{`index ops +status 400, code 7, incorrect index: make the index, or allow it for the token; .*`}},
		{"full", func(s *hectest.Server, _ *config.Splunk) {
			s.Always(hectest.Answer{Status: 503, Body: `{"text":"Server is busy","code":9}`})
		}, []string{`event +status 503, code 9, server is busy: the server has no room: .*`}},
		{"no acknowledgement, required", func(_ *hectest.Server, c *config.Splunk) { c.Ack = "require" },
			[]string{`acknowledgement +taken without an acknowledgement, which is required; turn on useACK .*`}},
		{"no authority", func(_ *hectest.Server, c *config.Splunk) { c.CAFile = "/nowhere.pem" },
			[]string{`certificates +CA file: open /nowhere\.pem: no such file or directory; check sinks\.splunk\.ca_file, .*`}},
		{"refused without a code", func(s *hectest.Server, _ *config.Splunk) {
			s.Always(hectest.Answer{Status: 401, Body: "Unauthorized"})
		}, []string{`token +status 401 without a code: the token is refused, .*, or something on the way wants a login: .*`}},
		{"a page", func(s *hectest.Server, _ *config.Splunk) {
			s.Always(hectest.Answer{Status: 200, Body: "<html>" + hecToken})
		}, []string{`event +status 200 without a code: this is not the HTTP Event Collector, or .*: check the port .*`}},
		{"a code that is no success with status 200", func(s *hectest.Server, _ *config.Splunk) {
			s.Always(hectest.Answer{Status: 200, Body: `{"text":"Server is busy","code":9}`})
		}, []string{`event +status 200, code 9, server is busy: the server has no room: .*`}},
		{"no answer", func(s *hectest.Server, _ *config.Splunk) { s.Always(hectest.Answer{Fault: hectest.Reset}) },
			[]string{`event +EOF; no answer came: check the server and its load, .*`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := hectest.New(t, hecToken)
			c := splunkConfig(t, s.URL)
			c.Index, c.Indexes.Ledger = "net", "ops"
			tt.set(s, &c)
			got, err := steps(t, c)
			failed := regexp.MustCompile(`(?m)^  failed  .*$`).FindAllString(got, -1)
			want := fmt.Sprintf("splunk: failed steps: %d; what to do stands beside each", len(tt.failed))
			if err == nil || err.Error() != want || len(failed) != len(tt.failed) {
				t.Fatalf("%v\n%swant %s", err, got, want)
			}
			for i, line := range failed {
				if !regexp.MustCompile(`^  failed  ` + tt.failed[i] + `$`).MatchString(line) {
					t.Errorf("%s\nwant %s", line, tt.failed[i])
				}
			}
		})
	}
}

// Of several tokens it says how many there are.
func TestCheckSplunkTokens(t *testing.T) {
	s := hectest.New(t, hecToken)
	c := splunkConfig(t, s.URL)
	writeFile(t, c.TokenFile, []byte("5ecc3700-0000-4000-8000-000000000002\n\n"+hecToken+"\n"))
	got, err := steps(t, c)
	if err != nil || !strings.Contains(got, "  ok      token            accepted, one of the 2 in the token file\n") {
		t.Errorf("%v\n%s", err, got)
	}
}

// Over TLS it tells the certificate, also of a server that is not trusted.
func TestCheckSplunkTLS(t *testing.T) {
	s := hectest.NewTLS(t, hecToken)
	c := splunkConfig(t, s.URL)
	got, err := steps(t, c)
	if err == nil || !strings.Contains(got, "unknown authority, certificate of \"") ||
		!strings.Contains(got, "; name the file of its authority in sinks.splunk.ca_file\n") {
		t.Errorf("not trusted: %v\n%s", err, got)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	c.CAFile = writeFile(t, filepath.Join(t.TempDir(), "ca.pem"), ca)
	until := s.Certificate().NotAfter.UTC().Format("2006-01-02")
	if got, err = steps(t, c); err != nil || !strings.Contains(got, "TLS 1.3 to "+s.Listener.Addr().String()+", certificate of ") ||
		!strings.Contains(got, " until "+until+"\n") {
		t.Errorf("trusted: %v\n%s", err, got)
	}
	c.ServerName = "other.example"
	if got, err = steps(t, c); err == nil || !strings.Contains(got, "; use a name of the certificate in the URL, or in sinks.splunk.server_name\n") {
		t.Errorf("another name: %v\n%s", err, got)
	}
}

// The acknowledgement of the first event is waited for.
func TestCheckSplunkAcknowledgement(t *testing.T) {
	for name, want := range map[string]string{
		"on":         `  ok      acknowledgement  indexed after \d+\.\d s\n$`,
		"off":        `  -       acknowledgement  off in the configuration\n$`,
		"lost":       `  failed  acknowledgement  the channel was lost; .*\n$`,
		"not spoken": `  -       acknowledgement  the server counts events and does not acknowledge them, .*\n$`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := hectest.New(t, hecToken)
			s.SetAcks(hectest.Acks{On: true})
			c := splunkConfig(t, s.URL)
			switch name {
			case "off":
				c.Ack = "off"
			case "lost":
				s.ScriptAcks(hectest.Answer{Status: 400, Body: `{"text":"Invalid data channel","code":11}`})
			case "not spoken":
				s.ScriptAcks(hectest.Answer{Status: 400, Body: `{"text":"ACK is disabled","code":14}`})
			}
			got, err := steps(t, c)
			if (err != nil) != (name == "lost") || !regexp.MustCompile(want).MatchString(got) {
				t.Errorf("%v\n%swant %s", err, got, want)
			}
		})
	}
}

// Every code that Splunk has is explained, and the others too.
func TestExplainCode(t *testing.T) {
	for code := range codeAdvice {
		got := explainCode(400, code)
		if prefix := fmt.Sprintf("status 400, code %d, %s", code, hec.CodeText(code)); !strings.HasPrefix(got, prefix) || hec.CodeText(code) == "" {
			t.Errorf("code %d: %s", code, got)
		}
		if good := code == 0 || code == 17; good == strings.Contains(got, ": ") {
			t.Errorf("code %d says what to do only if something is wrong: %s", code, got)
		}
	}
	if hec.CodeText(len(codeAdvice)) != "" {
		t.Errorf("code %d has no advice", len(codeAdvice))
	}
	if got := explainCode(500, 99); got != "status 500, code 99, which Splunk does not have: what is before Splunk cannot reach it: check the balancer and its targets" {
		t.Error(got)
	}
}

// What has no code is explained too, but that somebody interrupted it.
func TestExplain(t *testing.T) {
	for _, tt := range []struct {
		o    hec.Outcome
		want string
	}{
		{hec.Outcome{Code: -1, Err: context.DeadlineExceeded}, "context deadline exceeded; no answer came: check the server "},
		{hec.Outcome{Code: -1, Err: errors.New("hec https://h: EOF"), Endpoint: "https://h"}, "EOF; no answer came: check the server "},
		{hec.Outcome{Code: -1, Err: errors.New("x509"), Class: hec.HoldConfig}, "x509; check sinks.splunk.ca_file and server_name"},
		{hec.Outcome{Code: -1, HTTP: 200, Err: errors.New("status 200, answer cut short")},
			"status 200 without a code: this is not the HTTP Event Collector, or something on the way cuts its answers short: "},
		{hec.Outcome{Code: -1, HTTP: 403, Err: errors.New("no HEC answer"), Class: hec.HoldToken}, "status 403 without a code: the token is refused, "},
	} {
		if got := explain(&tt.o).Error(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
	if got := explain(&hec.Outcome{Code: -1, Err: context.Canceled}).Error(); got != "context canceled" {
		t.Error(got)
	}
}

// The command tries every endpoint by itself, and its exit status tells.
func TestCheckSplunkCommand(t *testing.T) {
	good, bad := hectest.New(t, hecToken), hectest.New(t, "another")
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "hec.token"), []byte(hecToken+"\n"))
	check := func(urls ...string) result {
		text := fmt.Sprintf("sinks: {splunk: {endpoints: [%s], token_file: hec.token}}\n", strings.Join(urls, ", "))
		return runProgram(t, "check", "--splunk", "--config", writeFile(t, filepath.Join(dir, "p.yaml"), []byte(text)))
	}
	r := check(good.URL)
	if r.code != exitOK || r.stderr != "" || strings.Contains(r.stdout, "failed") || strings.Contains(r.stdout, hecToken) {
		t.Errorf("%+v", r)
	}
	r = check(good.URL, bad.URL)
	if r.code != exitFailure || strings.Count(r.stdout, "  failed  token") != 1 || strings.Count(r.stdout, "  ok      token") != 1 ||
		r.stderr != "periscope: splunk: failed steps: 1; what to do stands beside each\n" {
		t.Errorf("%+v", r)
	}
	if strings.Contains(r.stdout+r.stderr, hecToken) {
		t.Errorf("it prints the token: %+v", r)
	}
	r = runProgram(t, "check", "--splunk")
	if r.code != exitUsage || r.errorLine(t) != "sinks.splunk: not in the configuration; name a file that has it with --config" {
		t.Errorf("%+v", r)
	}
}
