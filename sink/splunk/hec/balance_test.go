package hec_test

import (
	"testing"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

var down = hectest.Answer{Status: 502, Body: "<html>"}

func TestBreaker(t *testing.T) {
	s := hectest.New(t, first)
	s.Always(down)
	c, k := dial(t, hec.Config{}, s)
	for range 3 {
		if o := send(t, c, hec.Retry); o.HTTP != 502 {
			t.Fatalf("%+v", o)
		}
	}
	if o := send(t, c, hec.Retry); o.HTTP != 0 || o.RetryAfter != 5*time.Second || c.Health()[0].Up {
		t.Fatalf("asked a fourth time: %+v", o)
	}
	s.Always(hectest.Answer{})
	k.add(5 * time.Second)
	send(t, c, hec.Retry) // starts the probe
	c.WaitProbes()
	send(t, c, hec.Delivered)
	probes := 0
	for _, r := range s.Seen() {
		if r.Path != "/services/collector/health" {
			continue
		}
		probes++
		if r.Header.Get("Authorization") != "" {
			t.Error("the probe has a token")
		}
	}
	if probes != 1 {
		t.Errorf("%d probes, want 1", probes)
	}
	if !c.Health()[0].Up {
		t.Error("still out after a success")
	}
}

func TestBusyIsNotDown(t *testing.T) {
	s := hectest.New(t, first)
	s.Always(hectest.Answer{Status: 503, Body: `{"text":"Server is busy","code":9,"invalid-event-number":1}`})
	c, _ := dial(t, hec.Config{}, s)
	for range 5 {
		if o := send(t, c, hec.Retry); o.Invalid != 1 || !o.Slow {
			t.Fatalf("%+v", o)
		}
	}
}

func TestTwoEndpoints(t *testing.T) {
	tests := []struct {
		name string
		bad  hectest.Answer
	}{
		{"down", down},
		{"resets", hectest.Answer{Fault: hectest.Reset}},
		{"refuses the token", hectest.Answer{Status: 403, Body: `{"code":4}`}},
		{"is not set up", hectest.Answer{Status: 405}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			healthy, bad := hectest.New(t, first), hectest.New(t, first)
			bad.Always(tt.bad)
			c, _ := dial(t, hec.Config{}, healthy, bad)
			failed := 0
			for range 200 {
				switch o := c.Send(t.Context(), hec.Request{Body: []byte(good), Events: 2}); o.Class {
				case hec.Delivered:
				case hec.Retry:
					failed++
				default:
					t.Fatalf("%v holds though another endpoint is up: %v", o.Class, o.Err)
				}
			}
			if failed != 3 || len(healthy.Events()) != 2*197 {
				t.Errorf("%d requests failed, want 3; %d events", failed, len(healthy.Events()))
			}
		})
	}
}

func TestWeights(t *testing.T) {
	a, b := hectest.New(t, first), hectest.New(t, first)
	c, _ := dial(t, hec.Config{Endpoints: []hec.Endpoint{{URL: a.URL, Weight: 9}, {URL: b.URL, Weight: 1}}})
	for range 500 {
		send(t, c, hec.Delivered)
	}
	// 9 of 10 is 450; 13 standard deviations away are 360 and beyond.
	if n := len(a.Seen()); n < 360 || n == 500 {
		t.Errorf("%d of 500 requests went to the endpoint of weight 9", n)
	}
}

func TestWindow(t *testing.T) {
	var w hec.Window
	if w.Size() != 1 {
		t.Fatalf("begins at %d", w.Size())
	}
	for range 1 + 2 + 3 + 4 + 5 + 6 + 7 - 1 {
		w.Note(hec.Outcome{Class: hec.Delivered})
	}
	if w.Size() != 7 {
		t.Errorf("%d one before the last step, want 7", w.Size())
	}
	for range 100 {
		w.Note(hec.Outcome{Class: hec.Delivered})
	}
	for _, want := range []int{8, 4, 2, 1, 1} {
		if w.Size() != want {
			t.Errorf("%d, want %d", w.Size(), want)
		}
		w.Note(hec.Outcome{Slow: true})
	}
	w.Note(hec.Outcome{Class: hec.Split})
	if w.Size() != 1 {
		t.Errorf("%d after a split, want 1", w.Size())
	}
}
