package hec

// WaitProbes waits until the probes that are out have come back.
func (c *Client) WaitProbes() { c.probes.Wait() }
