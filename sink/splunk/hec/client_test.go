package hec_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/internal/leak"
	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

const (
	first  = "aaaaaaaa-1111-2222-3333-444444444444"
	second = "bbbbbbbb-1111-2222-3333-444444444444"
	good   = `{"event":"one"}` + "\n" + `{"event":"two"}`
)

// goodEvents are those of good.
func goodEvents() [][]byte { return bytes.Split([]byte(good), []byte("\n")) }

func TestMain(m *testing.M) { leak.Check(m) }

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// dial makes a client of servers with the first token.
func dial(t testing.TB, cfg hec.Config, servers ...*hectest.Server) *hec.Client {
	t.Helper()
	for _, s := range servers {
		cfg.Endpoints = append(cfg.Endpoints, hec.Endpoint{URL: s.URL})
	}
	if cfg.TokenFile == "" {
		cfg.TokenFile = write(t, "token", first+"\n")
	}
	cfg.Version = "1.2.3"
	c, err := hec.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.NoJitter()
	return c
}

// try sends two events once, and checks that no token is in the outcome.
func try(t testing.TB, c *hec.Client) hec.Outcome {
	t.Helper()
	s, err := c.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o := s.Send(t.Context(), hec.Request{Events: goodEvents()})
	for _, token := range []string{first, second} {
		if strings.Contains(fmt.Sprintf("%+v", o), token) {
			t.Fatalf("the outcome holds a token: %+v", o)
		}
	}
	return o
}

func send(t testing.TB, c *hec.Client, want hec.Class) hec.Outcome {
	t.Helper()
	o := try(t, c)
	if o.Class != want {
		t.Fatalf("%v (%v), want %v", o.Class, o.Err, want)
	}
	return o
}

// virtual runs f in a bubble of virtual time.
func virtual(t *testing.T, f func(t *testing.T, net *hectest.Network)) {
	synctest.Test(t, func(t *testing.T) { f(t, hectest.NewNetwork(t)) })
}

func TestSend(t *testing.T) {
	s := hectest.New(t, first)
	s.Script(hectest.Answer{Header: http.Header{"Set-Cookie": {"AWSALB=x; Path=/", "gone=1"}}},
		hectest.Answer{Header: http.Header{"Set-Cookie": {"gone=; Max-Age=0"}}})
	c := dial(t, hec.Config{}, s)
	for range 3 {
		if o := send(t, c, hec.Delivered); o.Err != nil || o.HTTP != 200 || o.Code != 0 || o.Endpoint != s.URL {
			t.Errorf("%+v", o)
		}
	}
	if n := len(s.Events()); n != 6 {
		t.Errorf("%d events, want 6", n)
	}
	seen := s.Seen()
	for i, cookie := range []string{"", "AWSALB=x; gone=1", "AWSALB=x"} {
		h := seen[i].Header
		if h.Get("Cookie") != cookie || h.Get("User-Agent") != "periscope/1.2.3" || h.Get("Content-Encoding") != "gzip" {
			t.Errorf("request %d: %v", i, h)
		}
		if ch := h.Get("X-Splunk-Request-Channel"); len(ch) != 36 || ch != seen[0].Header.Get("X-Splunk-Request-Channel") {
			t.Errorf("request %d: channel %q", i, ch)
		}
		if seen[i].Path != "/services/collector/event" {
			t.Errorf("request %d: path %q", i, seen[i].Path)
		}
	}
}

func TestPlainAfterRefusal(t *testing.T) {
	s := hectest.New(t, first)
	s.Script(hectest.Answer{Status: 415, Body: "<html>"})
	c := dial(t, hec.Config{}, s)
	send(t, c, hec.PlainBody)
	send(t, c, hec.Delivered)
	if e := s.Seen()[1].Header.Get("Content-Encoding"); e != "" {
		t.Errorf("compressed again: %q", e)
	}
}

func TestChannelRefused(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		bad := hectest.Answer{Status: 400, Body: `{"code":11}`}
		s.Script(bad, hectest.Answer{}, bad, bad)
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		for _, want := range []hec.Class{hec.Retry, hec.Delivered, hec.Retry, hec.HoldConfig} {
			send(t, c, want)
		}
		seen := s.Seen()
		if a, b := seen[0].Header.Get("X-Splunk-Request-Channel"), seen[1].Header.Get("X-Splunk-Request-Channel"); a == b {
			t.Error("the refused channel is used again")
		}
	})
}

func TestNoRedirect(t *testing.T) {
	other := hectest.New(t, first)
	s := hectest.New(t, first)
	s.Always(hectest.Answer{Status: 307, Header: http.Header{"Location": {other.URL}}})
	c := dial(t, hec.Config{}, s)
	send(t, c, hec.HoldConfig)
	if n := len(other.Seen()); n != 0 {
		t.Errorf("the redirect was followed, %d requests", n)
	}
}

func TestFaults(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		for _, fault := range []hectest.Fault{hectest.Reset, hectest.Drop, hectest.Cut} {
			s := net.New(first)
			s.Script(hectest.Answer{Fault: fault})
			c := dial(t, hec.Config{Dial: net.Dial}, s)
			if o := send(t, c, hec.Retry); !o.DupRisk || o.Err == nil {
				t.Errorf("fault %d: %+v", fault, o)
			}
			send(t, c, hec.Delivered)
		}
	})
}

func TestHangEndsWithContext(t *testing.T) {
	s := hectest.New(t, first)
	s.Always(hectest.Answer{Fault: hectest.Hang})
	arrived := make(chan struct{})
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		close(arrived)
		s.ServeHTTP(w, r)
	})
	c := dial(t, hec.Config{}, s)
	ctx, cancel := context.WithCancel(t.Context())
	slot, err := c.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan hec.Outcome, 1)
	go func() { done <- slot.Send(ctx, hec.Request{Events: goodEvents()}) }()
	<-arrived
	cancel()
	if o := <-done; o.Class != hec.Retry || !o.DupRisk {
		t.Errorf("%+v", o)
	}
	if slot, err := c.Acquire(t.Context()); err != nil {
		t.Error(err)
	} else {
		slot.Release()
	}
}

func TestTokens(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(second)
		path := write(t, "token", first+"\n\n"+second+"\n")
		c := dial(t, hec.Config{TokenFile: path, Dial: net.Dial}, s)
		send(t, c, hec.Delivered) // the first is refused
		send(t, c, hec.Delivered) // the second goes first
		if n := len(s.Seen()); n != 3 {
			t.Errorf("%d requests, want 3", n)
		}
		rewrite(t, path, "cccccccc-new")
		s.SetTokens("cccccccc-new")
		send(t, c, hec.Delivered) // read again after the refusal
		s.SetTokens(second)
		rewrite(t, path, second)
		time.Sleep(5 * time.Second)
		before := len(s.Seen())
		send(t, c, hec.Delivered) // read again after 5 s
		if n := len(s.Seen()) - before; n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}

// TestTokenOfEachEndpoint says that endpoints with tokens of their own each refuse
// the others' once.
func TestTokenOfEachEndpoint(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		one, other := net.New(first), net.New(second)
		c := dial(t, hec.Config{TokenFile: write(t, "token", first+"\n"+second+"\n"), Dial: net.Dial}, one, other)
		for range 40 {
			send(t, c, hec.Delivered)
		}
		if n := len(one.Seen()) + len(other.Seen()); n > 40+1 || len(one.Events()) == 0 || len(other.Events()) == 0 {
			t.Errorf("%d requests for 40 that were taken, want one more at most", n)
		}
	})
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A server that answers with what it was sent must not get a token into an
// error or a log.
func TestNoTokenInErrors(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(second)
		mute := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			conn, buf, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", r.Header.Get("Authorization"))
			buf.Flush()
		})
		s.Config.Handler = mute
		var log bytes.Buffer
		c := dial(t, hec.Config{Dial: net.Dial, Log: slog.New(slog.NewTextHandler(&log, nil))}, s)
		for range 4 {
			o := send(t, c, hec.Retry)
			if o.HTTP == 0 && !strings.Contains(o.Err.Error(), "(token)") {
				t.Errorf("the server's text is not in %q: the test shows nothing", o.Err)
			}
		}
		if log.Len() == 0 || strings.Contains(log.String(), first) {
			t.Errorf("log: %q", &log)
		}
	})
}
