package hec

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// A Slot is a place for one request at one endpoint. It belongs to one goroutine,
// which calls Send or Release; whatever is called after the first has no effect.
type Slot struct {
	c    *Client
	e    *endpoint
	pass pass
	used bool
}

// Acquire waits for an endpoint that may take one more request, and reserves a
// place there: the less busy of two that are drawn by weight. An endpoint may be
// asked while it has a place free and is not on hold. It fails only when ctx is
// done.
func (c *Client) Acquire(ctx context.Context) (*Slot, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("hec: no endpoint that may be asked: %w", err)
		}
		tokens := c.tokens.refresh()
		c.mu.Lock()
		e, due := c.pick(time.Now(), tokens)
		if e != nil {
			s := &Slot{c: c, e: e, pass: e.gate.take()}
			c.mu.Unlock()
			return s, nil
		}
		changed := c.changed
		c.mu.Unlock()
		wait(ctx, changed, due)
	}
}

// wait returns when something changed, at due unless that is zero, or when ctx is
// done.
func wait(ctx context.Context, changed <-chan struct{}, due time.Time) {
	var timeout <-chan time.Time
	if !due.IsZero() {
		timer := time.NewTimer(time.Until(due))
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-ctx.Done():
	case <-changed:
	case <-timeout:
	}
}

// pick returns the endpoint to ask, or else when to look again, zero for not
// before something changes. It starts the probes whose time has come. The caller
// holds c.mu.
func (c *Client) pick(now time.Time, tokens int) (*endpoint, time.Time) {
	if tokens == 0 { // there is none yet
		return nil, now.Add(tokensEvery)
	}
	var able []*endpoint
	var due time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	weights := 0
	for _, e := range c.endpoints {
		if e.gate.probeDue(now) {
			e.gate.probe = asking
			c.tasks.Go(func() { c.probe(e) })
		}
		if e.gate.passes(now, tokens) {
			able = append(able, e)
			weights += e.weight
			continue
		}
		sooner(e.gate.due())
		if e.gate.hold == tokenless {
			sooner(now.Add(tokensEvery)) // the token file is looked at again
		}
	}
	if len(able) == 0 {
		return nil, due
	}
	draw := func() *endpoint {
		n := rand.IntN(weights)
		for _, e := range able {
			if n -= e.weight; n < 0 {
				return e
			}
		}
		return able[0]
	}
	e, other := draw(), draw()
	if other.load() < e.load() {
		e = other
	}
	return e, due
}

// load is how busy the endpoint is for its weight.
func (e *endpoint) load() float64 { return float64(e.gate.inflight) / float64(e.weight) }

// wake lets every Acquire look again. The caller holds c.mu.
func (c *Client) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Release gives the place back without a request.
func (s *Slot) Release() {
	if s.used {
		return
	}
	s.used = true
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.e.gate.give(s.pass)
	s.c.wake()
}

// Send sends r and says what came of it; the place is given back by then. It
// returns when there is an answer, within 90 s for each token, or when ctx is
// done.
func (s *Slot) Send(ctx context.Context, r Request) Outcome {
	if s.used {
		return Outcome{Class: Retry, Code: -1, Invalid: -1, Err: fmt.Errorf("hec: slot was used before")}
	}
	s.used = true
	start := time.Now()
	o, tokens := s.c.send(ctx, s.e, r)
	if o.Err != nil {
		o.Err = fmt.Errorf("hec %s: %w", o.Endpoint, o.Err)
	}
	s.settle(ctx, r, &o, tokens, time.Since(start))
	return o
}

// settle tells the gate, and counts.
func (s *Slot) settle(ctx context.Context, r Request, o *Outcome, tokens int, took time.Duration) {
	c, e := s.c, s.e
	c.mu.Lock()
	was := e.gate.hold
	e.counts.add(o, r, took)
	if o.Class == AwaitAck {
		e.gate.pending++
	}
	if o.HTTP == 0 && ctx.Err() != nil {
		e.gate.give(s.pass)
	} else {
		e.gate.settle(s.pass, o, tokens, time.Now(), c.jitter)
	}
	is := e.gate.hold
	c.wake()
	c.mu.Unlock()
	switch {
	case was == free && o.Slow && o.HTTP == 0:
		c.log.Warn("splunk endpoint did not answer in time, its events are sent again; check its load, and what is between", "endpoint", o.Endpoint, "error", o.Err)
	case is == was:
	case holds[is].warn != "":
		e.http.CloseIdleConnections()
		c.log.Warn(holds[is].warn, "endpoint", o.Endpoint, "error", o.Err)
	case holds[was].warn != "" && is == free:
		c.log.Info("splunk endpoint is used again", "endpoint", o.Endpoint)
	}
}

// probe asks an endpoint that is down for its health. No token goes with it; a
// refusal for want of one shows that it is up.
func (c *Client) probe(e *endpoint) {
	ctx, cancel := context.WithTimeout(c.ctx, probeLimit)
	defer cancel()
	req := (&http.Request{Method: http.MethodGet, URL: e.path("health"), Header: http.Header{}}).WithContext(ctx)
	if c.ack == AckRequire {
		req.URL.RawQuery = "ack=true"
	}
	a, err := e.ask(req, "")
	c.mu.Lock()
	defer c.mu.Unlock()
	e.gate.probed(err == nil && a.status < 500, time.Now())
	c.wake()
}
