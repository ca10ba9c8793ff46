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

	"github.com/periscope-collector/periscope/interop/receiver"
)

// TestSame: all sides send the same events, each once and compressed.
func TestSame(t *testing.T) {
	all := make(map[string]map[any]receiver.Event)
	for _, name := range order {
		server := receiver.New(t, false, token)
		proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: server.Addr})
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/services/collector") && r.Header.Get("Content-Encoding") != "gzip" {
				t.Errorf("%s: %s without gzip", name, r.URL)
			}
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(front.Close)
		send, err := sides[name](front.URL, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := send(load{events: kinds}); err != nil {
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
		if n := len(server.Events()); n != kinds || len(events) != kinds {
			t.Errorf("%s: %d events arrived, %d different, want %d", name, n, len(events), kinds)
		}
		all[name] = events
	}
	for _, name := range order[1:] {
		for dest, want := range all[order[0]] {
			if got := all[name][dest]; !reflect.DeepEqual(got, want) {
				t.Fatalf("%s:\n%+v\nwant\n%+v", name, got, want)
			}
		}
	}
}

// TestLoad: bad loads and sides are named.
func TestLoad(t *testing.T) {
	for _, c := range []struct {
		side string
		load load
		want string
	}{
		{"otel", load{events: 1500}, "-events 1500: want a multiple of 1000"},
		{"otel", load{}, "-events 0: want a multiple of 1000"},
		{"fluentd", load{events: 1000}, "-side fluentd: want server, periscope, otel, otel-fresh"},
	} {
		if err := run(c.side, "", t.TempDir(), c.load, 1); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
}

// TestReport shows medians, not means.
func TestReport(t *testing.T) {
	figures := map[string][]figure{
		"periscope":  {{PerSecond: 900, Peak: 10}, {PerSecond: 100, Peak: 30}, {PerSecond: 200, Peak: 20}},
		"otel":       {{PerSecond: 50, Peak: 80}, {PerSecond: 40, Peak: 40}, {PerSecond: 10, Peak: 1}},
		"otel-fresh": {{PerSecond: 20, Peak: 200}, {PerSecond: 20, Peak: 200}, {PerSecond: 20, Peak: 200}},
	}
	var b bytes.Buffer
	report(&b, figures, load{events: 1000, rate: 10}, 3)
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
