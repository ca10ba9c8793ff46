package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/interop/compare/round"
	"github.com/periscope-collector/periscope/interop/receiver"
)

// TestSame: all sides send the same events, each once and compressed.
func TestSame(t *testing.T) {
	programs := t.TempDir()
	if err := build(programs); err != nil {
		t.Fatal(err)
	}
	all := make([]map[any]receiver.Event, len(sides))
	for i, side := range sides {
		name := side.name
		server := receiver.New(t, false, round.Token)
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: server.Addr})
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/services/collector") && r.Header.Get("Content-Encoding") != "gzip" {
				t.Errorf("%s: %s without gzip", name, r.URL)
			}
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(front.Close)
		if _, err := send(programs, side.command, front.URL, t.TempDir(), round.Load{Events: round.Kinds}); err != nil {
			t.Fatal(err)
		}
		events := make(map[any]receiver.Event)
		for _, e := range server.Events() {
			keys := e.Event.(map[string]any)
			if keys["event_uid"] == nil {
				t.Fatalf("%s: an event without event_uid", name)
			}
			delete(keys, "event_uid")
			e.Time = (e.Time + 500) / 1000 // the exporter sends milliseconds
			events[keys["dest_ip"]] = e
		}
		if n := len(server.Events()); n != round.Kinds || len(events) != round.Kinds {
			t.Errorf("%s: %d events arrived, %d different, want %d", name, n, len(events), round.Kinds)
		}
		all[i] = events
	}
	for i, side := range sides {
		for dest, want := range all[0] {
			if got := all[i][dest]; !reflect.DeepEqual(got, want) {
				t.Fatalf("%s:\n%+v\nwant\n%+v", side.name, got, want)
			}
		}
	}
}

// TestUsage: a load that cannot be is named.
func TestUsage(t *testing.T) {
	for _, c := range []struct {
		events, rounds int
		want           string
	}{
		{1500, 1, "-events 1500: want a multiple of 1000"},
		{0, 1, "-events 0: want a multiple of 1000"},
		{1000, 0, "-rounds 0: want 1 or more"},
	} {
		if err := run(false, t.TempDir(), round.Load{Events: c.events}, c.rounds); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestReport shows medians, not means.
func TestReport(t *testing.T) {
	figures := [][]round.Figure{
		{{PerSecond: 900, Peak: 10}, {PerSecond: 100, Peak: 30}, {PerSecond: 200, Peak: 20}},
		{{PerSecond: 50, Peak: 80}, {PerSecond: 40, Peak: 40}, {PerSecond: 10, Peak: 1}},
		{{PerSecond: 20, Peak: 200}, {PerSecond: 20, Peak: 200}, {PerSecond: 20, Peak: 200}},
	}
	var b bytes.Buffer
	report(&b, figures, round.Load{Events: 1000, Rate: 10}, 3)
	for _, want := range []string{
		"1000 events a round, 10 a second, medians of 3 rounds",
		"against otel: 5.0 times the events per CPU second, 0.50 of the memory",
		"against otel-fresh: 10.0 times the events per CPU second, 0.10 of the memory",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, &b)
		}
	}
}
