package awsapi_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
)

// After a rest a burst goes at once, then one each interval, and a rest fills no
// more than the burst.
func TestPacer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := awsapi.NewPacer(200*time.Millisecond, 3)
		began := time.Now()
		for i, want := range []time.Duration{0, 0, 0, 200, 400, 600} {
			if err := wait(t.Context()); err != nil || time.Since(began) != want*time.Millisecond {
				t.Errorf("request %d goes after %v, %v", i, time.Since(began), err)
			}
		}
		time.Sleep(300 * time.Millisecond) // one more has its turn, and half of the next
		began = time.Now()
		for i, want := range []time.Duration{0, 100, 300} {
			if err := wait(t.Context()); err != nil || time.Since(began) != want*time.Millisecond {
				t.Errorf("request %d after a short rest goes after %v, %v", i, time.Since(began), err)
			}
		}
		time.Sleep(time.Hour)
		began = time.Now()
		for i, want := range []time.Duration{0, 0, 0, 200} {
			if err := wait(t.Context()); err != nil || time.Since(began) != want*time.Millisecond {
				t.Errorf("request %d after a long rest goes after %v, %v", i, time.Since(began), err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began = time.Now()
		if err := wait(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 50*time.Millisecond {
			t.Errorf("given up after %v, %v", time.Since(began), err)
		}
	})
}

// A client's requests are paced: the third of a burst of two waits longer than its
// time-out.
func TestPaced(t *testing.T) {
	e := serve(t, map[string][]answer{"ListClusters": {{body: `{"clusterArns":[]}`}}})
	c := e.client(t, awsapi.Config{RatePerSecond: 1e-3, Burst: 2})
	for range 2 {
		if _, err := c.Clusters(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Clusters(ctx); !errors.Is(err, context.DeadlineExceeded) || len(e.requests("ListClusters")) != 2 {
		t.Errorf("%v after %d requests", err, len(e.requests("ListClusters")))
	}
}

func TestTooLong(t *testing.T) {
	const limit = 10_000
	for _, test := range []struct {
		spaces int // in each of two pages
		ok     bool
	}{{limit/2 - 1000, true}, {limit / 2, false}, {10 * limit, false}} {
		t.Run(fmt.Sprint(test.spaces), func(t *testing.T) {
			fill := strings.Repeat(" ", test.spaces)
			e := serve(t, map[string][]answer{"ListClusters": {
				{body: `{"clusterArns":["c-1"],"nextToken":"two"` + fill + `}`}, {body: `{"clusterArns":["c-2"]` + fill + `}`}}})
			got, err := e.client(t, awsapi.Config{}).AtMost(limit).Clusters(t.Context())
			if test.ok != (err == nil) || test.ok != (len(got) == 2) || !test.ok && !strings.Contains(err.Error(), "too long") {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestTooManyPages(t *testing.T) {
	for _, n := range []int{awsapi.MaxPages, awsapi.MaxPages + 1} {
		var answers []answer
		for i := range n - 1 {
			answers = append(answers, answer{body: fmt.Sprintf(`{"clusterArns":["c"],"nextToken":"%d"}`, i)})
		}
		e := serve(t, map[string][]answer{"ListClusters": append(answers, answer{body: `{"clusterArns":["c"]}`})})
		got, err := e.client(t, awsapi.Config{}).Clusters(t.Context())
		if ok := n <= awsapi.MaxPages; ok != (err == nil) || ok != (len(got) == n) {
			t.Errorf("%d pages: %d items, %v", n, len(got), err)
		}
	}
}
