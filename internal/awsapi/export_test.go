package awsapi

import "time"

// Hasty makes the client wait d at most before a retry.
func (c *Client) Hasty(d time.Duration) *Client {
	c.backoff = d
	return c
}

// Limits that tests reach.
const (
	MaxReason = maxReason
	MaxPages  = maxPages
)
