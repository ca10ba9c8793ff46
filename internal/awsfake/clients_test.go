package awsfake

import (
	"bytes"
	"encoding/xml"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
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
	wire *wire
}

// A wire remembers the last answer.
type wire struct {
	http.Transport
	json bool
	body []byte
}

// RoundTrip asks, and reads the answer whole.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	w.body, err = io.ReadAll(answer.Body)
	w.json = strings.Contains(answer.Header.Get("Content-Type"), "json")
	_ = answer.Body.Close() // nothing was written
	answer.Body = io.NopCloser(bytes.NewReader(w.body))
	return answer, err
}

// texts returns the values of the last answer, but for its id.
func (w *wire) texts(t *testing.T) []string {
	t.Helper()
	if w.json {
		return slices.Collect(maps.Values(leaves(t, w.body)))
	}
	var all []string
	text, name := "", ""
	decoder := xml.NewDecoder(bytes.NewReader(w.body))
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%v: %s", err, w.body)
		}
		switch token := token.(type) {
		case xml.StartElement:
			text, name = "", token.Name.Local
		case xml.CharData:
			text += string(token)
		case xml.EndElement:
			if value := normal(strings.TrimSpace(text)); value != "" && !strings.EqualFold(name, "requestId") {
				all = append(all, value)
			}
			text = ""
		}
	}
}

func newClients(t *testing.T) clients {
	t.Helper()
	wire := &wire{}
	t.Cleanup(wire.CloseIdleConnections)
	c, err := config.LoadDefaultConfig(t.Context(), config.WithRetryMaxAttempts(1),
		config.WithHTTPClient(&http.Client{Transport: wire, Timeout: time.Minute}))
	if err != nil {
		t.Fatal(err)
	}
	return clients{ec2sdk.NewFromConfig(c), ecssdk.NewFromConfig(c), stssdk.NewFromConfig(c),
		imds.NewFromConfig(c, func(o *imds.Options) { o.DisableDefaultTimeout = true }), wire}
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
