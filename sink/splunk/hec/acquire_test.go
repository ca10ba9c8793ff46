package hec_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/sink/splunk/hec"
	"github.com/periscope-collector/periscope/sink/splunk/hec/hectest"
)

var down = hectest.Answer{Status: 502, Body: "<html>"}

// after sends once and wants the outcome and the time that Acquire waited.
func after(t *testing.T, c *hec.Client, wait time.Duration, want hec.Class) hec.Outcome {
	t.Helper()
	start := time.Now()
	o := send(t, c, want)
	if took := time.Since(start); took != wait {
		t.Fatalf("asked after %v, want %v", took, wait)
	}
	return o
}

func TestHolds(t *testing.T) {
	crowded := hectest.Answer{Status: 429, Body: `{"code":26}`}
	tests := []struct {
		name  string
		bad   hectest.Answer
		class hec.Class
		waits []time.Duration // in seconds/2, between the requests
	}{
		{"down", down, hec.Retry, []time.Duration{0, 1, 2, 10, 20, 40, 80, 120, 120}},
		{"reset", hectest.Answer{Fault: hectest.Reset}, hec.Retry, []time.Duration{0, 1, 2, 10, 20}},
		{"404", hectest.Answer{Status: 404}, hec.Retry, []time.Duration{0, 1, 2, 10}},
		{"busy is not down", hectest.Answer{Status: 503, Body: `{"code":9}`}, hec.Retry, []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60}},
		{"crowded", crowded, hec.Retry, []time.Duration{0, 4, 8, 16, 32, 64, 128, 240, 240}},
		{"Retry-After", hectest.Answer{Status: 503, Body: `{"code":9}`, Header: http.Header{"Retry-After": {"90"}}}, hec.Retry, []time.Duration{0, 180, 180}},
		{"token", hectest.Answer{Status: 403, Body: `{"code":4}`}, hec.HoldToken, []time.Duration{0, 60, 120, 240, 480, 600, 600}},
		{"config", hectest.Answer{Status: 405}, hec.HoldConfig, []time.Duration{0, 60, 120, 240, 480, 600, 600}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, func(t *testing.T, net *hectest.Network) {
				s := net.New(first)
				c := dial(t, hec.Config{Dial: net.Dial}, s)
				for range 2 { // a success begins anew
					s.Always(tt.bad)
					for _, half := range tt.waits {
						after(t, c, half*time.Second/2, tt.class)
					}
					s.Always(hectest.Answer{})
					after(t, c, next(tt.waits), hec.Delivered)
					after(t, c, 0, hec.Delivered)
				}
			})
		})
	}
}

// next is the wait after the last: twice as long where that is not the most.
func next(waits []time.Duration) time.Duration {
	last := waits[len(waits)-1]
	if last != waits[len(waits)-2] {
		last *= 2
	}
	return last * time.Second / 2
}

// The breaker asks for the endpoint's health, and for nothing else until it is up.
func TestProbe(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.Always(down)
		s.SetHealth(hectest.Answer{Status: 503, Body: `{"code":18}`})
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		for range 3 {
			send(t, c, hec.Retry)
		}
		s.Always(hectest.Answer{})
		time.AfterFunc(30*time.Second, func() { s.SetHealth(hectest.Answer{}) })
		after(t, c, (5+10+20)*time.Second, hec.Delivered)
		probes := 0
		for _, r := range s.Seen() {
			if r.Path == "/services/collector/health" {
				probes++
				if r.Header.Get("Authorization") != "" {
					t.Error("the probe has a token")
				}
			}
		}
		if probes != 3 || len(s.Seen()) != 3+3+1 {
			t.Errorf("%d probes of %d requests, want 3 of 7", probes, len(s.Seen()))
		}
	})
}

// One request at a time goes to an endpoint whose hold is over.
func TestTrialIsAlone(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(first)
		s.Script(hectest.Answer{Status: 403})
		c := dial(t, hec.Config{Dial: net.Dial}, s)
		send(t, c, hec.HoldToken)
		trial, err := c.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := c.Acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a second place beside the trial: %v", err)
		}
		trial.Release()
		trial.Release()
		if o := trial.Send(t.Context(), hec.Request{}); o.Err == nil {
			t.Error("a place that was given back is used")
		}
		after(t, c, 0, hec.Delivered)
	})
}

func TestTokenFileEndsHold(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		s := net.New(second)
		path := write(t, "token", first)
		c := dial(t, hec.Config{TokenFile: path, Dial: net.Dial}, s)
		send(t, c, hec.HoldToken)
		after(t, c, 30*time.Second, hec.HoldToken)
		time.AfterFunc(10*time.Second, func() { os.Remove(path) })
		time.AfterFunc(31*time.Second, func() { rewrite(t, path, second) })
		after(t, c, 35*time.Second, hec.Delivered)
	})
}

// The healthy endpoint delivers all, and the other gets its first request only.
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
			virtual(t, func(t *testing.T, net *hectest.Network) {
				healthy, bad := net.New(first), net.New(first)
				bad.Always(tt.bad)
				c := dial(t, hec.Config{Dial: net.Dial}, healthy, bad)
				failed := 0
				for range 200 {
					if o := try(t, c); o.Class != hec.Delivered {
						failed++
					}
				}
				if failed != 1 || len(healthy.Events()) != 2*199 {
					t.Errorf("%d requests failed, want 1; %d events", failed, len(healthy.Events()))
				}
			})
		})
	}
}

// An endpoint that turns silent holds its own places and none of another's.
func TestBlackHole(t *testing.T) {
	virtual(t, func(t *testing.T, net *hectest.Network) {
		healthy, black := net.New(first), net.New(first)
		c := dial(t, hec.Config{Dial: net.Dial}, healthy, black)
		for range 500 {
			send(t, c, hec.Delivered)
		}
		black.Always(hectest.Answer{Fault: hectest.Hang})
		before := len(healthy.Events())
		start := time.Now()
		var senders sync.WaitGroup
		work := make(chan struct{})
		for range 16 {
			senders.Go(func() {
				for range work {
					for try(t, c).Class != hec.Delivered {
					}
				}
			})
		}
		const n = 1000
		for range n {
			work <- struct{}{}
		}
		close(work)
		synctest.Wait() // all that is not in the black hole has been delivered
		if took := time.Since(start); took != 0 {
			t.Errorf("the silent endpoint cost %v", took)
		}
		stuck := 0
		for _, e := range c.Stats().Endpoints {
			stuck += e.InFlight
		}
		if got := len(healthy.Events()) - before; stuck > 8 || got != 2*(n-stuck) {
			t.Errorf("%d requests are stuck, %d events", stuck, got)
		}
		senders.Wait()
		if got := len(healthy.Events()) - before; got != 2*n {
			t.Errorf("%d events of %d", got, 2*n)
		}
	})
}

func TestWeights(t *testing.T) {
	a, b := hectest.New(t, first), hectest.New(t, first)
	c := dial(t, hec.Config{Endpoints: []hec.Endpoint{{URL: a.URL, Weight: 9}, {URL: b.URL, Weight: 1}}})
	for range 500 {
		send(t, c, hec.Delivered)
	}
	// 9 of 10 is 450; 13 standard deviations away are 360 and beyond.
	if n := len(a.Seen()); n < 360 || n == 500 {
		t.Errorf("%d of 500 requests went to the endpoint of weight 9", n)
	}
}
