package receiver_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/leak"
	"github.com/periscope-collector/periscope/interop/receiver"
	"github.com/periscope-collector/periscope/interop/sample"
	"github.com/periscope-collector/periscope/record"
)

func TestMain(m *testing.M) { leak.Check(m) }

const token = "00000000-0000-4000-8000-000000000001"

// TestWhole: events of every kind, as record writes them, are understood as they
// were meant, each once, with names, numbers and microseconds as they were.
func TestWhole(t *testing.T) {
	server := receiver.New(t, false, token)
	events := record.NewEvents(record.EventConfig{Host: "collector-1", Collector: "fra", FlowIndex: "net", LedgerIndex: "ops"})
	session := sample.Session()
	var body, one []byte
	want := make(map[string]receiver.Event)
	add := func(uid string, event []byte) {
		e, err := receiver.Parse(event)
		if err != nil {
			t.Fatal(err)
		}
		want[uid] = e
		body = append(body, event...)
	}
	for i := range 2000 {
		r := sample.Flow(session, i)
		uid := fmt.Sprintf("flow-%d", i)
		add(uid, events.AppendFlow(one[:0], &r, []byte(uid)))
		for side := range r.Side {
			uid := fmt.Sprintf("line-%d-%d", i, side)
			add(uid, events.AppendVPCFlow(one[:0], &r, side, []byte(uid)))
		}
	}
	add("ledger", events.AppendLedger(one[:0], 1768471200_000001_000, []byte(`{"received_packets":12,"ready":true}`), []byte("ledger")))

	if status, answer := post(t, server.Addr, token, "", body); status != http.StatusOK {
		t.Fatalf("status %d: %s", status, answer)
	}
	got := server.Events()
	if len(got) != len(want) {
		t.Errorf("%d events arrived of %d", len(got), len(want))
	}
	for _, e := range got {
		id := e.UID()
		if w, found := want[id]; !found || !reflect.DeepEqual(e, w) {
			t.Fatalf("%s: got\n%+v\nwant\n%+v", id, e, w)
		}
		delete(want, id)
	}
	if len(want) != 0 {
		t.Errorf("did not arrive: %v", slices.Sorted(maps.Keys(want)))
	}
}

// TestRefuses: a wrong token and a consumer that fails are told to the sender.
func TestRefuses(t *testing.T) {
	server := receiver.New(t, false, token)
	if status, _ := post(t, server.Addr, "wrong", "", []byte(`{"event":"x"}`)); status != http.StatusUnauthorized {
		t.Errorf("a wrong token got status %d", status)
	}
	if n := len(server.Events()); n != 0 {
		t.Errorf("%d events of a wrong token", n)
	}
	if _, err := receiver.Start(receiver.Config{Addr: "127.0.0.1:0"}, nil); err == nil {
		t.Error("started without a token")
	}
	if _, err := receiver.Start(receiver.Config{Addr: server.Addr, Tokens: []string{token}}, nil); err == nil {
		t.Error("started where another listens")
	}
	failing := "127.0.0.2:" + server.Addr[strings.LastIndexByte(server.Addr, ':')+1:]
	r, err := receiver.Start(receiver.Config{Addr: failing, Tokens: []string{token}}, func([]receiver.Event) error { return errors.New("full") })
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if status, _ := post(t, failing, token, "", []byte(`{"event":"x"}`)); status != http.StatusInternalServerError {
		t.Errorf("a failing consumer gave status %d", status)
	}
}

// TestAcks: a request with a channel is acknowledged, once.
func TestAcks(t *testing.T) {
	server := receiver.New(t, true, token)
	const channel = "5F8B3E10-0000-4000-8000-0000000000AA"
	var taken struct{ AckID *int }
	_, answer := post(t, server.Addr, token, channel, []byte(`{"event":"x"}`))
	if err := json.Unmarshal(answer, &taken); err != nil || taken.AckID == nil {
		t.Fatalf("%v: %s", err, answer)
	}
	for _, want := range []bool{true, false} {
		status, answer := request(t, server.Addr, "/services/collector/ack", token, channel, fmt.Appendf(nil, `{"acks":[%d]}`, *taken.AckID))
		if got := strings.Contains(string(answer), fmt.Sprintf(`"%d":true`, *taken.AckID)); status != http.StatusOK || got != want {
			t.Errorf("status %d, want %t: %s", status, want, answer)
		}
	}
}

func post(t *testing.T, addr, token, channel string, body []byte) (int, []byte) {
	t.Helper()
	return request(t, addr, "/services/collector/event", token, channel, body)
}

func request(t *testing.T, addr, path, token, channel string, body []byte) (int, []byte) {
	t.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(body)
	z.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+path, &packed)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Splunk "+token)
	r.Header.Set("Content-Encoding", "gzip")
	if channel != "" {
		r.Header.Set("X-Splunk-Request-Channel", channel)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, text
}
