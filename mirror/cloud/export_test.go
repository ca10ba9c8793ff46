package cloud

import "github.com/periscope-collector/periscope/internal/awsapi"

// Hurry has the Cloud ask without a pause.
func (c *Cloud) Hurry() *Cloud {
	c.api = awsapi.Open(awsapi.Config{RatePerSecond: 1e6, Log: c.log})[0]
	c.acting = awsapi.Open(awsapi.Config{RatePerSecond: 1e6, Log: c.log})[0]
	return c
}
