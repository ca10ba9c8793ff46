package hec

// Stats are the counters of a Client.
type Stats struct {
	Endpoints []EndpointStats // in the order of the Config
}

// EndpointStats are those of one endpoint.
type EndpointStats struct {
	URL      string
	Up       bool   // it is not on hold
	Hold     string // why it is: backoff, breaker, token, config
	InFlight int    // requests that are out
	Limit    int    // how many may be
}

// Stats returns the counters. It may be called at any time.
func (c *Client) Stats() Stats {
	var s Stats
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.endpoints {
		g := &e.gate
		s.Endpoints = append(s.Endpoints, EndpointStats{
			URL: e.url.String(), Up: g.hold == free, Hold: holds[g.hold].name, InFlight: g.inflight, Limit: g.size(),
		})
	}
	return s
}
