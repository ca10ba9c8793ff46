package hec

import "time"

// NoJitter makes a back-off last its whole time.
func (c *Client) NoJitter() { c.jitter = func(d time.Duration) time.Duration { return d } }
