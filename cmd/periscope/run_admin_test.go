package main

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// freeAddress returns a loopback address that was free a moment ago, and that no
// socket gets by itself.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAdminWantsToken(t *testing.T) {
	dir := t.TempDir()
	token := writeFile(t, filepath.Join(dir, "token"), []byte("open sesame\n"))
	health := freeAddress(t)
	c := startRun(t, setup{dir: dir, admin: "token_file: token", more: fmt.Sprintf("health: {listen: %q}", health)})
	url := c.waitLog(`metrics=(http://\S+)/metrics`, 1)[1]
	eventually(t, "ready", func() bool {
		status, _ := get("http://" + health + "/readyz")
		return status == http.StatusOK
	})
	ask := func(path, authorization string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if authorization != "" {
			request.Header.Set("Authorization", authorization)
		}
		r, err := httpClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		return r.StatusCode
	}
	for _, path := range []string{"/metrics", "/readyz", "/healthz", "/api/v1/ledger"} {
		for authorization, want := range map[string]int{
			"":                    http.StatusUnauthorized,
			"Bearer ":             http.StatusUnauthorized,
			"Bearer open":         http.StatusUnauthorized,
			"Basic open sesame":   http.StatusUnauthorized,
			"Bearer open sesame":  http.StatusOK,
			"Bearer open sesame2": http.StatusUnauthorized,
		} {
			if got := ask(path, authorization); got != want {
				t.Errorf("%s with %q: %d, want %d", path, authorization, got, want)
			}
		}
	}
	// The token may be changed; without one nobody gets in.
	writeFile(t, token, []byte("another"))
	if got := ask("/metrics", "Bearer another"); got != http.StatusOK {
		t.Errorf("with the new token: %d", got)
	}
	writeFile(t, token, nil)
	if got := ask("/metrics", "Bearer "); got != http.StatusServiceUnavailable {
		t.Errorf("with an empty token: %d", got)
	}
	// The health listener asks for nothing, and has nothing else.
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 404, "/api/v1/ledger": 404, "/": 404} {
		if got, _ := get("http://" + health + path); got != want {
			t.Errorf("health.listen %s: %d, want %d", path, got, want)
		}
	}
	if log := c.log.String(); strings.Contains(log, "sesame") {
		t.Errorf("the log holds the token: %s", log)
	}
	c.signal(syscall.SIGINT)
	c.end()
}

func TestAdminPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := setup{more: fmt.Sprintf("health: {listen: %q}", l.Addr())}
	c := startRun(t, s)
	if code := c.wait(); code != exitFailure {
		t.Errorf("exit status %d", code)
	}
	text := result{stderr: c.log.String()}.errorLine(t)
	if !strings.HasPrefix(text, "health.listen: listen tcp "+l.Addr().String()) || !strings.Contains(text, "address already in use") {
		t.Errorf("%q", text)
	}
}
