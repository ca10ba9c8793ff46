package awsapi

import (
	"context"
	"time"
)

// Hasty makes the client wait d at most before a retry.
func (c *Client) Hasty(d time.Duration) *Client {
	c.backoff = d
	return c
}

// Patient gives the instance metadata d to tell the region.
func (c *Client) Patient(d time.Duration) *Client {
	c.lookup = d
	return c
}

// Within makes each further call of the client take d at most.
func (c *Client) Within(d time.Duration) *Client {
	c.timeout = d
	return c
}

// Client returns the client that the objects ask with.
func (o *Objects) Client() *Client { return o.client }

// AtMost makes the client read n bytes of a list at most.
func (c *Client) AtMost(n int64) *Client {
	c.longest = n
	return c
}

// Limits that tests reach.
const (
	MaxReason = maxReason
	MaxPages  = maxPages
)

// NewPacer returns the wait of a pacer.
func NewPacer(interval time.Duration, burst int) func(context.Context) error {
	p := &pacer{interval: interval, burst: burst}
	return p.wait
}
