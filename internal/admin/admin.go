// Package admin serves HTTP for people and machines that look after a
// collector: metrics, health and the ledger as JSON, and, on a listener of its
// own, health alone for load balancers.
//
// It holds no state. Everything it shows it asks for, once a request.
package admin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A Config says what to serve. Its functions may be called from any goroutine.
type Config struct {
	// Ready returns nil when traffic should come here, else why not.
	Ready func() error

	// Ledger returns a value to show as JSON.
	Ledger func() any

	// Gatherer has the metrics.
	Gatherer prometheus.Gatherer

	// TokenFile, unless empty, holds the bearer token that requests must
	// carry. It is read again at each request, so that it can be changed.
	TokenFile string

	Log *slog.Logger // must not be nil
}

// Handler returns what admin.listen serves: /metrics, /healthz, /readyz and
// /api/v1/ledger.
func Handler(c Config) http.Handler {
	mux := http.NewServeMux()
	health(mux, c.Ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.Gatherer, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(c.Log.Handler(), slog.LevelError),
		MaxRequestsInFlight: 4,
	}))
	mux.HandleFunc("GET /api/v1/ledger", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.Encode(c.Ledger())
	})
	if c.TokenFile == "" {
		return mux
	}
	return withToken(c, mux)
}

// HealthHandler returns what health.listen serves: /healthz and /readyz.
func HealthHandler(ready func() error) http.Handler {
	mux := http.NewServeMux()
	health(mux, ready)
	return mux
}

// health adds the two questions a load balancer asks.
func health(mux *http.ServeMux, ready func() error) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
}

func withToken(c Config, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want, err := os.ReadFile(c.TokenFile)
		token := strings.TrimSpace(string(want))
		if err != nil || token == "" {
			c.Log.Error("admin: no token to compare requests with, refusing them", "file", c.TokenFile, "error", err)
			http.Error(w, "no token is configured", http.StatusServiceUnavailable)
			return
		}
		got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(got), []byte(token)) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "a bearer token is needed", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// A Server serves one address.
type Server struct {
	listener net.Listener
	server   http.Server
}

// Listen opens an address; Serve then answers on it. key names the
// configuration key in errors.
func Listen(key, address string, handler http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; choose another address in the configuration", key, err)
	}
	return &Server{listener: l, server: http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
	}}, nil
}

// Addr returns the address that is served.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve answers until Close.
func (s *Server) Serve() error {
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close lets requests finish until ctx is done, then ends them.
func (s *Server) Close(ctx context.Context) error {
	if err := s.server.Shutdown(ctx); err != nil {
		return s.server.Close()
	}
	return nil
}
