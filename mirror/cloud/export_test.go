package cloud

import (
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
)

// Hurry has the Cloud ask without a pause, and wait for answers on a busy machine too.
func (c *Cloud) Hurry() *Cloud {
	config := awsapi.Config{RatePerSecond: 1e6, Timeout: time.Minute, Log: c.log}
	c.api, c.acting = awsapi.Open(config)[0], awsapi.Open(config)[0]
	return c
}
