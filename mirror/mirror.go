package mirror

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// A State is what is, as far as it was asked, in one account and region.
type State struct {
	At      time.Time // when it was asked
	Account string    // whose it is; sessions of another owner are never touched. "" if it is not known

	// Sources are interfaces that rules may want mirrored, each once.
	Sources []Source

	// Whole says that Sources has all there are. Otherwise an interface that is
	// neither in it nor in Gone is left as it is.
	Whole bool

	// Gone are interfaces that end, or have ended.
	Gone []string

	// Sessions are all that the account has.
	Sessions []Session

	// Targets are those that the account may use, by id.
	Targets map[string]Target

	// Filters are those of the account, by id; nil if they were not asked for.
	Filters map[string]bool

	// As a Reconciler knows: interfaces that were there a moment ago, though a list
	// may lack them, and of others the last session of theirs that is gone.
	fresh map[string]bool
	dead  map[string]string
}

// A Source is an interface with what rules can tell it by.
type Source struct {
	InterfaceID string
	Type        string // of the interface; "interface" may be mirrored; "" if it is not known yet
	VPCID       string // "" while EC2 does not list the interface: VPC, zone and tags are not known yet
	SubnetID    string
	AZID        string
	MAC         [6]byte
	Address     netip.Addr // the primary one

	Tags map[string]string // the interface's

	Task     *Task     // nil unless it is a task's
	Instance *Instance // nil unless it is an instance's own
}

// A Task is an ECS task that is to run, or one that stops and is mirrored.
type Task struct {
	ARN, ClusterARN   string
	Cluster           string // the name
	Service, Family   string // Service is "" for a task of none
	TaskDefinitionARN string
	ContainerInstance string // ARN, "" on Fargate
	ContainerIDs      []string
	Status            string // its last one
	Version           int64  // grows with every change
	Created           time.Time
	Tags              map[string]string
}

// An Instance is an EC2 instance that runs or is about to.
type Instance struct {
	ID, Name string
	Group    string // its Auto Scaling group, or ""
	Tags     map[string]string
}

// A Target is where mirrored traffic can go.
type Target struct {
	ID   string
	Type string // network-interface, network-load-balancer or gateway-load-balancer-endpoint
	AZID string // of a network interface; "" for others

	// InterfaceID is that of a network interface, which is never mirrored itself.
	InterfaceID string
}

// A Session is a mirror session as it is, or as it shall be.
type Session struct {
	ID           string // "" before it is made
	InterfaceID  string
	TargetID     string
	FilterID     string
	Number       int    // 1 to 32766, the lowest goes first
	VNI          uint32 // 1 to 2^24-1
	PacketLength int    // bytes after the VXLAN header; 0 for whole packets
	OwnerID      string // the account; "" before it is made
	Tags         map[string]string
}

// A Cloud asks AWS, and acts there. Its methods may be called from any goroutine.
//
// An error is, or wraps, a *Refusal if AWS does not want what it was asked for, and
// ErrGone if what it was about is not there. Any other error may pass by itself.
type Cloud interface {
	// Look returns the state. With hints it may have what these are about alone,
	// but always all sessions and targets.
	Look(ctx context.Context, hints []Hint) (*State, error)

	// Create makes a session and returns it with its id. The token makes of
	// equal calls one.
	Create(ctx context.Context, s Session, token string) (Session, error)

	// Modify has a session, given by its id, become s. Tags stay.
	Modify(ctx context.Context, s Session) error

	// Delete deletes a session.
	Delete(ctx context.Context, id string) error
}

// ErrGone says that what a call was about, a session or an interface, is not there.
var ErrGone = errors.New("is not there any more")

// A Refusal is AWS's answer to a call that it does not want, verbatim.
type Refusal struct {
	Code    string
	Message string
}

// Error returns "code: message".
func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

// A Hint names what may have changed. It says nothing else: what is, is asked.
type Hint struct {
	ClusterARN, TaskARN string // both or none
	InstanceID          string
}
