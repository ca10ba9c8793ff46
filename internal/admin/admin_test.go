package admin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

var errStuck = errors.New("worker 3 has not moved for 12s")

// testConfig is a collector that is ready unless err points to an error.
func testConfig(t *testing.T, err *error) Config {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "answer", Help: "The answer."},
		func() float64 { return 42 }))
	return Config{
		Ready:    func() error { return *err },
		Ledger:   func() any { return map[string]int{"received": 7} },
		Sessions: func(all bool) any { return map[string]bool{"all": all} },
		Gatherer: r,
		Log:      slog.New(slog.DiscardHandler),
	}
}

// ask sends a request with "Name: value" headers to a handler.
func ask(h http.Handler, method, path string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRoutes(t *testing.T) {
	var ready error
	c := testConfig(t, &ready)
	admin, health := Handler(c), HealthHandler(c.Ready)
	for _, test := range []struct {
		name         string
		handler      http.Handler
		ready        error
		method, path string
		status       int
		kind, body   string
	}{
		{"alive", admin, nil, "GET", "/healthz", 200, "text/plain", "ok\n"},
		{"alive although stuck", admin, errStuck, "GET", "/healthz", 200, "text/plain", "ok\n"},
		{"ready", admin, nil, "GET", "/readyz", 200, "text/plain", "ready\n"},
		{"why it is not", admin, errStuck, "GET", "/readyz", 503, "text/plain", "worker 3 has not moved for 12s\n"},
		{"metrics", admin, nil, "GET", "/metrics", 200, "text/plain", "# HELP answer The answer.\n# TYPE answer gauge\nanswer 42\n"},
		{"metrics although stuck", admin, errStuck, "GET", "/metrics", 200, "text/plain", "# HELP answer The answer.\n# TYPE answer gauge\nanswer 42\n"},
		{"ledger", admin, nil, "GET", "/api/v1/ledger", 200, "application/json", "{\n  \"received\": 7\n}\n"},
		{"sessions", admin, nil, "GET", "/api/v1/sessions", 200, "application/json", "{\"all\":false}\n"},
		{"all sessions", admin, nil, "GET", "/api/v1/sessions?all", 200, "application/json", "{\"all\":true}\n"},
		{"nothing at the root", admin, nil, "GET", "/", 404, "text/plain", "404 page not found\n"},
		{"nothing below a route", admin, nil, "GET", "/metrics/x", 404, "text/plain", "404 page not found\n"},
		{"no profiles", admin, nil, "GET", "/debug/pprof/", 404, "text/plain", "404 page not found\n"},

		{"alive, for all", health, errStuck, "GET", "/healthz", 200, "text/plain", "ok\n"},
		{"ready, for all", health, nil, "GET", "/readyz", 200, "text/plain", "ready\n"},
		{"not why it is not, for all", health, errStuck, "GET", "/readyz", 503, "text/plain", "not ready\n"},
		{"no metrics, for all", health, nil, "GET", "/metrics", 404, "text/plain", "404 page not found\n"},
		{"no ledger, for all", health, nil, "GET", "/api/v1/ledger", 404, "text/plain", "404 page not found\n"},
		{"no sessions, for all", health, nil, "GET", "/api/v1/sessions", 404, "text/plain", "404 page not found\n"},
		{"no root, for all", health, nil, "GET", "/", 404, "text/plain", "404 page not found\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ready = test.ready
			r := ask(test.handler, test.method, test.path)
			kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
			if got := body(t, r); r.StatusCode != test.status || kind != test.kind || got != test.body {
				t.Errorf("%d %s %q, want %d %s %q", r.StatusCode, kind, got, test.status, test.kind, test.body)
			}
		})
	}
}

func TestMethods(t *testing.T) {
	var ready error
	c := testConfig(t, &ready)
	for name, h := range map[string]http.Handler{"admin": Handler(c), "health": HealthHandler(c.Ready)} {
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/api/v1/ledger", "/api/v1/sessions"} {
			if name == "health" && !strings.HasSuffix(path, "z") {
				continue
			}
			for method, want := range map[string]int{
				"GET": 200, "HEAD": 200,
				"POST": 405, "PUT": 405, "PATCH": 405, "DELETE": 405, "OPTIONS": 405, "TRACE": 405, "BREW": 405,
			} {
				r := ask(h, method, path)
				if r.StatusCode != want {
					t.Errorf("%s: %s %s: %d, want %d", name, method, path, r.StatusCode, want)
				}
				if allow := r.Header.Get("Allow"); want == 405 && allow != "GET, HEAD" {
					t.Errorf("%s: %s %s: allows %q", name, method, path, allow)
				}
			}
		}
	}
}

// TestMetricsThatCannotBeTaken says that what fails is not hidden.
func TestMetricsThatCannotBeTaken(t *testing.T) {
	var ready error
	var log bytes.Buffer
	c := testConfig(t, &ready)
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	c.Gatherer = broken{}
	if r := ask(Handler(c), "GET", "/metrics"); r.StatusCode != 500 {
		t.Errorf("%d", r.StatusCode)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "two of a kind") {
		t.Errorf("logged %q", log.String())
	}
}

// TestRequestsAreBounded says that no more scrapes, and no more lists of
// sessions, are made at once than are worth the memory.
func TestRequestsAreBounded(t *testing.T) {
	for _, path := range []string{"/metrics", "/api/v1/sessions"} {
		var ready error
		c := testConfig(t, &ready)
		var inside atomic.Int32
		enter, leave := make(chan struct{}), make(chan struct{})
		wait := func() {
			inside.Add(1)
			enter <- struct{}{}
			<-leave
		}
		c.Gatherer = slow(wait)
		c.Sessions = func(bool) any { wait(); return nil }
		h := Handler(c)
		codes := make(chan int)
		for range 4 {
			go func() { codes <- ask(h, "GET", path).StatusCode }()
			<-enter
		}
		if r := ask(h, "GET", path); r.StatusCode != 503 {
			t.Errorf("%s: the fifth got %d", path, r.StatusCode)
		}
		if r := ask(h, "GET", "/readyz"); r.StatusCode != 200 {
			t.Errorf("%s: /readyz got %d meanwhile", path, r.StatusCode)
		}
		close(leave)
		for range 4 {
			if code := <-codes; code != 200 {
				t.Errorf("%s: one of four got %d", path, code)
			}
		}
		if n := inside.Load(); n != 4 {
			t.Errorf("%s: %d ran", path, n)
		}
	}
}

func ExampleHealthHandler() {
	h := HealthHandler(func() error { return errors.New("stopping") })
	for _, path := range []string{"/healthz", "/readyz"} {
		fmt.Println(path, ask(h, "GET", path).StatusCode)
	}
	// Output:
	// /healthz 200
	// /readyz 503
}
