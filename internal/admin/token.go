package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
)

// A gate lets requests through that carry the token in a file.
type gate struct {
	file    string
	log     *slog.Logger
	next    http.Handler
	failing atomic.Bool // the file had no token last time
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	want, ok := g.token()
	if !ok {
		http.Error(w, "no token is configured", http.StatusServiceUnavailable)
		return
	}
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || !same(got, want) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "a bearer token is needed", http.StatusUnauthorized)
		return
	}
	g.next.ServeHTTP(w, r)
}

// token reads the file. Why there is no token is logged once, not with every
// request.
func (g *gate) token() (string, bool) {
	text, err := os.ReadFile(g.file)
	token := strings.TrimSpace(string(text))
	failing := err != nil || token == ""
	if was := g.failing.Swap(failing); failing && !was {
		g.log.Error("requests are refused: admin.token_file holds no token", "file", g.file, "error", err)
	}
	return token, !failing
}

// same compares in a time that does not tell what or how long the token is.
func same(got, want string) bool {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
