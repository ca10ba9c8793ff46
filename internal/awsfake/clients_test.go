package awsfake

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	ec2sdk "github.com/aws/aws-sdk-go-v2/service/ec2"
	ecssdk "github.com/aws/aws-sdk-go-v2/service/ecs"
	stssdk "github.com/aws/aws-sdk-go-v2/service/sts"
)

// Clients are the SDK's, configured by the environment alone, with one attempt.
type clients struct {
	ec2  *ec2sdk.Client
	ecs  *ecssdk.Client
	sts  *stssdk.Client
	imds *imds.Client
}

func newClients(t *testing.T) clients {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := config.LoadDefaultConfig(t.Context(), config.WithRetryMaxAttempts(1),
		config.WithHTTPClient(&http.Client{Transport: transport, Timeout: 10 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	return clients{ec2sdk.NewFromConfig(c), ecssdk.NewFromConfig(c), stssdk.NewFromConfig(c), imds.NewFromConfig(c)}
}

// A clock stands until it is moved.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time { return c.now }

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
