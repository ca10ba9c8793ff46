package cloud

import (
	"cmp"
	"context"
	"log/slog"
	"sync"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/mirror"
)

// A Config says where to look, and for what.
type Config struct {
	// Account is the role to take on, and in its Regions the only one to look in.
	// The zero value is the account of the credentials, in the instance's region
	// or that of AWS_REGION.
	Account awsapi.Account

	// Instances has Look ask for interfaces that are not a task's too: all that
	// are in use. Without it hints of instances are passed over.
	Instances bool

	// Filters has Look ask for the mirror filters too, when it looks at everything.
	Filters bool

	Log *slog.Logger // nil for none
}

// EC2 takes of an account 20 requests a second of each operation that lists, after a
// hundred at once, and 5 of each that changes something, after fifty ("Request
// throttling for the Amazon EC2 API"); ECS is alike. A look for hints asks each of
// four operations once, so it takes a quarter of that, and leaves the rest to others.
const (
	lookRate, lookBurst = 20, 100
	actRate, actBurst   = 5, 50
)

// A Cloud is one account in one region.
type Cloud struct {
	api       *awsapi.Client // to look
	acting    *awsapi.Client
	instances bool
	filters   bool
	log       *slog.Logger

	mu      sync.Mutex // guards what follows
	account string     // "" until it is known
}

var _ mirror.Cloud = (*Cloud)(nil)

// Open returns a Cloud. It asks nothing.
func Open(c Config) *Cloud {
	client := func(rate float64, burst int) *awsapi.Client {
		return awsapi.Open(awsapi.Config{Accounts: []awsapi.Account{c.Account}, RatePerSecond: rate, Burst: burst, Log: c.Log})[0]
	}
	return &Cloud{
		api:       client(lookRate, lookBurst),
		acting:    client(actRate, actBurst),
		instances: c.Instances,
		filters:   c.Filters,
		log:       cmp.Or(c.Log, slog.New(slog.DiscardHandler)),
	}
}

// Account returns the account's number, which it asks for once.
func (c *Cloud) Account(ctx context.Context) (string, error) {
	c.mu.Lock()
	account := c.account
	c.mu.Unlock()
	if account != "" {
		return account, nil
	}
	account, err := c.api.Identity(ctx)
	if err != nil {
		return "", said(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.account = account
	return account, nil
}

// Region returns the region, "" as long as that is the instance's and no call has
// found it: after Account it is known.
func (c *Cloud) Region() string { return c.api.Region() }

// Calls returns how many requests were sent, by operation, retries included. The
// caller owns the map.
func (c *Cloud) Calls() map[string]uint64 {
	calls := c.api.Calls()
	for operation, n := range c.acting.Calls() {
		calls[operation] += n
	}
	return calls
}

// Close closes connections that are idle. The Cloud can be used further.
func (c *Cloud) Close() {
	c.api.Close()
	c.acting.Close()
}

// Create makes a session.
func (c *Cloud) Create(ctx context.Context, s mirror.Session, token string) (mirror.Session, error) {
	made, err := c.acting.CreateSession(ctx, toAPI(&s), token)
	if err != nil {
		return mirror.Session{}, said(err)
	}
	return fromAPI(&made), nil
}

// Modify has a session become s.
func (c *Cloud) Modify(ctx context.Context, s mirror.Session) error {
	return said(c.acting.ModifySession(ctx, toAPI(&s)))
}

// Delete deletes a session.
func (c *Cloud) Delete(ctx context.Context, id string) error {
	return said(c.acting.DeleteSession(ctx, id))
}

func toAPI(s *mirror.Session) awsapi.MirrorSession {
	return awsapi.MirrorSession{
		ID: s.ID, InterfaceID: s.InterfaceID, TargetID: s.TargetID, FilterID: s.FilterID,
		VNI: s.VNI, Number: s.Number, PacketLength: s.PacketLength, OwnerID: s.OwnerID, Tags: s.Tags,
	}
}

func fromAPI(s *awsapi.MirrorSession) mirror.Session {
	return mirror.Session{
		ID: s.ID, InterfaceID: s.InterfaceID, TargetID: s.TargetID, FilterID: s.FilterID,
		VNI: s.VNI, Number: s.Number, PacketLength: s.PacketLength, OwnerID: s.OwnerID, Tags: s.Tags,
	}
}
