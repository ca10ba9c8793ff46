package awsapi

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
)

// A Config says whom to ask, and how hard.
type Config struct {
	Accounts []Account // none: the account of the credentials, in the instance's region

	RatePerSecond float64       // requests a second of a client [5]
	Burst         int           // requests that a client may make at once after a rest [20]
	Timeout       time.Duration // of a call with its retries and waits [10s]
	Log           *slog.Logger  // nil for none
}

// An Account is a role to take on, and the regions to ask in.
type Account struct {
	RoleARN    string   // empty: the credentials as they are
	ExternalID string   // that the role demands, or empty
	Regions    []string // empty: the instance's region
}

// A Client asks AWS about one account in one region.
type Client struct {
	account Account
	timeout time.Duration
	lookup  time.Duration // of the region, in instance metadata
	backoff time.Duration // the longest wait before a retry
	longest int64         // bytes of a list
	log     *slog.Logger
	pacer   pacer

	connecting sync.Mutex // held while the SDK is set up

	mu      sync.Mutex // guards what follows
	region  string     // "" until it is known
	sdk     *sdk       // nil before the first call, and when the credentials were refused
	calls   map[string]uint64
	leftOut map[string]int // items of the last answer, by operation
}

// An sdk is what the SDK was set up with; it is replaced as a whole.
type sdk struct {
	ec2    *ec2.Client
	ecs    *ecs.Client
	sts    *sts.Client
	config aws.Config // for other services
	http   *checkedHTTP
	keys   []*keys
}

// Open returns a client for each account and region, in their order. It reads no
// file and asks nothing: the SDK's default chain (environment, shared files, the
// container's or the instance's role) is looked through at the first call, and
// again after AWS or the chain refused the credentials. So are AWS_ENDPOINT_URL
// and what else the SDK takes from there.
func Open(cfg Config) []*Client {
	accounts := cfg.Accounts
	if len(accounts) == 0 {
		accounts = []Account{{}}
	}
	var clients []*Client
	for _, account := range accounts {
		regions := account.Regions
		if len(regions) == 0 {
			regions = []string{""}
		}
		for _, region := range regions {
			clients = append(clients, &Client{
				account: account,
				region:  region,
				timeout: cmp.Or(cfg.Timeout, 10*time.Second),
				lookup:  metadataTimeout,
				backoff: 2 * time.Second,
				longest: maxAnswer,
				log:     cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)),
				pacer: pacer{
					interval: time.Duration(float64(time.Second) / cmp.Or(cfg.RatePerSecond, 5)),
					burst:    cmp.Or(cfg.Burst, 20),
				},
				calls:   make(map[string]uint64),
				leftOut: make(map[string]int),
			})
		}
	}
	return clients
}

// RoleARN returns the role that the client takes on, "" for none.
func (c *Client) RoleARN() string { return c.account.RoleARN }

// Region returns the region asked, "" as long as that is the instance's and no
// call has found it.
func (c *Client) Region() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.region
}

// Calls returns how many requests were sent, by operation, retries and those for
// credentials included. The caller owns the map.
func (c *Client) Calls() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls)
}

// Close closes connections that are idle. The client can be used further.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sdk != nil {
		c.sdk.http.closeIdle()
	}
}

// connect returns the SDK, which it sets up if there is none.
func (c *Client) connect(ctx context.Context) (*sdk, error) {
	c.connecting.Lock()
	defer c.connecting.Unlock()
	c.mu.Lock()
	s, region := c.sdk, c.region
	c.mu.Unlock()
	if s != nil {
		return s, nil
	}
	var noMetadata error
	if region == "" {
		soon, cancel := context.WithTimeout(ctx, c.lookup)
		var self Self
		self, noMetadata = Metadata(soon) // what it lacks, the environment may have
		cancel()
		region = self.Region
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region),
		config.WithLogger(logging.Nop{}),
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(c.timeout)))
	switch {
	case err != nil:
		return nil, &failure{kind: NoCredentials, what: "configuration of the SDK", text: reason(err, nil), err: err}
	case cfg.Region == "":
		return nil, &failure{kind: NoMetadata, what: "the region is not known", err: noMetadata,
			text: "no region is configured, AWS_REGION names none, and " + strings.TrimSuffix(noMetadata.Error(), "; "+kinds[NoMetadata].remedy)}
	}
	s = c.setUp(cfg)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sdk, c.region = s, cfg.Region
	return s, nil
}

// setUp makes the SDK's clients, which share connections, pace and count.
func (c *Client) setUp(cfg aws.Config) *sdk {
	if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		cfg.HTTPClient = b.Freeze() // it is ready, with the authorities of AWS_CA_BUNDLE
	}
	s := &sdk{http: &checkedHTTP{cfg.HTTPClient}}
	cfg.HTTPClient = s.http
	cfg.RetryMaxAttempts = 3
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = c.backoff })
	}
	cfg.APIOptions = []func(*middleware.Stack) error{c.meter}
	own := &keys{from: cfg.Credentials, chain: true}
	cfg.Credentials = own
	s.keys = append(s.keys, own)
	if c.account.RoleARN != "" {
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), c.account.RoleARN, c.roleOptions)
		taken := &keys{from: aws.NewCredentialsCache(role, func(o *aws.CredentialsCacheOptions) {
			o.ExpiryWindow = 5 * time.Minute
		})}
		cfg.Credentials = taken
		s.keys = append(s.keys, taken)
	}
	s.config = cfg
	s.ec2, s.ecs, s.sts = ec2.NewFromConfig(cfg), ecs.NewFromConfig(cfg), sts.NewFromConfig(cfg)
	return s
}

// roleOptions asks for an hour, which every role grants.
func (c *Client) roleOptions(o *stscreds.AssumeRoleOptions) {
	o.RoleSessionName = "periscope"
	o.Duration = time.Hour
	if c.account.ExternalID != "" {
		o.ExternalID = &c.account.ExternalID
	}
}

// forget drops the SDK if it is still s, so that the next call reads the
// environment, files and credentials again.
func (c *Client) forget(s *sdk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s != nil && c.sdk == s {
		c.sdk = nil
		s.http.closeIdle()
	}
}
