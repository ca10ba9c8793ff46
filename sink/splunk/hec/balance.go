package hec

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

// settle tells the breaker. An endpoint that is not set up right is left out
// while another is up, and holds what is sent otherwise.
func (c *Client) settle(ctx context.Context, e *endpoint, o *Outcome) {
	down := o.HTTP == 0 || o.HTTP == http.StatusNotFound || o.HTTP >= 500 && o.Code != codeBusy
	if o.Class == HoldToken || o.Class == HoldConfig {
		if down = c.otherUp(e); down {
			o.Class, o.RetryAfter = Retry, 0
		}
	}
	e.mu.Lock()
	e.inflight--
	was := e.breaker.state
	switch {
	case o.HTTP == 0 && ctx.Err() != nil:
		e.breaker.abandon()
	case down:
		e.breaker.failure(c.now())
	default:
		e.breaker.success()
	}
	opened := was == closed && e.breaker.state == open
	e.mu.Unlock()
	if opened {
		e.http.CloseIdleConnections()
		c.log.Warn("splunk endpoint is left out for a while", "endpoint", o.Endpoint, "error", o.Err)
	}
}

func (c *Client) otherUp(e *endpoint) bool {
	for _, other := range c.endpoints {
		if other != e && other.up() {
			return true
		}
	}
	return false
}

func (e *endpoint) up() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.breaker.state == closed
}

// pick takes the less busy, by weight, of two endpoints that are up, and starts
// to probe those whose time has come. Without one it returns when to ask again.
func (c *Client) pick() (*endpoint, time.Duration) {
	now := c.now()
	var up []*endpoint
	weights, after := 0, maxBreak
	for _, e := range c.endpoints {
		e.mu.Lock()
		if e.breaker.due(now) {
			e.breaker.state = probing
			c.probes.Go(func() { c.probe(e) })
		}
		switch {
		case e.breaker.passes():
			up = append(up, e)
			weights += e.weight
		case e.breaker.state == open:
			after = min(after, e.breaker.until.Sub(now))
		default:
			after = min(after, probeLook)
		}
		e.mu.Unlock()
	}
	if len(up) == 0 {
		return nil, after
	}
	draw := func() *endpoint {
		n := rand.IntN(weights)
		for _, e := range up {
			if n -= e.weight; n < 0 {
				return e
			}
		}
		return up[0]
	}
	e, other := draw(), draw()
	if other.load() < e.load() {
		e = other
	}
	e.begin(now)
	return e, 0
}

// load is how busy the endpoint is for its weight.
func (e *endpoint) load() float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return float64(e.inflight) / float64(e.weight)
}

// begin counts a request, which is the trial if one is due.
func (e *endpoint) begin(now time.Time) {
	e.mu.Lock()
	e.inflight++
	e.breaker.begin()
	stale := now.Sub(e.fresh) >= lookupEvery
	if stale {
		e.fresh = now
	}
	e.mu.Unlock()
	if stale {
		e.http.CloseIdleConnections()
	}
}

// probe asks an endpoint that is down for its health. No token goes with it; a
// refusal for want of one shows that it is up.
func (c *Client) probe(e *endpoint) {
	ctx, cancel := context.WithTimeout(c.ctx, probeLimit)
	defer cancel()
	req := (&http.Request{Method: http.MethodGet, URL: e.path("health"), Header: http.Header{}}).WithContext(ctx)
	a, err := e.ask(req)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.breaker.probed(err == nil && a.status < 500, c.now())
}

// A Health is how one endpoint does.
type Health struct {
	URL      string
	Up       bool
	InFlight int
}

// Health returns how the endpoints do, in the order of the Config.
func (c *Client) Health() []Health {
	list := make([]Health, 0, len(c.endpoints))
	for _, e := range c.endpoints {
		e.mu.Lock()
		list = append(list, Health{URL: e.url.String(), Up: e.breaker.state == closed, InFlight: e.inflight})
		e.mu.Unlock()
	}
	return list
}
