// Package admin serves HTTP for people and machines that look after a
// collector: metrics, health and the ledger as JSON, and, on a listener of its
// own, health alone for load balancers.
//
// It holds no state. Everything it shows it asks for, once a request.
package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A Config says what to serve. Its functions may be called from any goroutine.
type Config struct {
	// Ready returns nil when traffic should come here, else why not.
	Ready func() error

	// Ledger returns a value to show as JSON.
	Ledger func() any

	// Sessions returns a value to show as JSON: the sessions that are not over,
	// or all.
	Sessions func(all bool) any

	// Gatherer has the metrics.
	Gatherer prometheus.Gatherer

	// TokenFile, unless empty, holds the bearer token that requests must
	// carry. It is read again at each request, so that it can be changed.
	TokenFile string

	Log *slog.Logger // must not be nil
}

// maxAtOnce bounds requests that take memory: a list of 10,000 sessions takes
// some 15 MB until it is sent.
const maxAtOnce = 4

// Handler returns what admin.listen serves: /metrics, /healthz, /readyz,
// /api/v1/ledger and /api/v1/sessions, which has those that are over as well
// when asked with ?all.
func Handler(c Config) http.Handler {
	mux := http.NewServeMux()
	health(mux, c.Ready)
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.Gatherer, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(c.Log.Handler(), slog.LevelError),
		MaxRequestsInFlight: maxAtOnce,
	}))
	mux.HandleFunc("GET /api/v1/ledger", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.Encode(c.Ledger())
	})
	mux.Handle("GET /api/v1/sessions", atMost(maxAtOnce, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(c.Sessions(r.URL.Query().Has("all")))
	}))
	if c.TokenFile == "" {
		return mux
	}
	return &gate{file: c.TokenFile, log: c.Log, next: mux}
}

// HealthHandler returns what health.listen serves: /healthz and /readyz. It
// does not say why the collector is not ready, since anyone may ask.
func HealthHandler(ready func() error) http.Handler {
	mux := http.NewServeMux()
	health(mux, func() error {
		if ready() != nil {
			return errNotReady
		}
		return nil
	})
	return mux
}

var errNotReady = errors.New("not ready")

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

// atMost answers n requests at once, and tells the others to come again.
func atMost(n int, next http.HandlerFunc) http.Handler {
	places := make(chan struct{}, n)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			next(w, r)
		default:
			http.Error(w, "too many requests at once, try again", http.StatusServiceUnavailable)
		}
	})
}
