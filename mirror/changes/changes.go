// Package changes keeps what was decided about mirror sessions: each change is one
// immutable object, a file of a directory or an object of S3. Who mirrors writes
// them, and a collector reads them: so it knows of a session from the moment it
// was made, also of one that is gone before anybody lists it, and of those that
// AWS refused.
//
// A Log writes, a Reader reads what is new, in any Objects. Nothing is ever replaced,
// so that as many as like may write at once. What is damaged is passed over and
// counted. A Reader remembers 13 MiB of keys at most, and Next returns 16 MiB of
// changes at most; a Reader belongs to one goroutine, all else to any.
//
// It does not know what to do about a change, nor when one is too old to keep.
package changes

import (
	"net/netip"
	"time"
)

// The kinds of changes.
const (
	Created  = "created"
	Modified = "modified"
	Deleted  = "deleted"
	Refused  = "refused" // by AWS, to make a session, or to change or delete the one of SessionID; Code and Message say why
)

// A Change is one thing that was done, or was refused.
type Change struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`

	Account string `json:"account"` // twelve digits
	Region  string `json:"region"`

	// Of the session. SessionID is empty of one that was not made.
	SessionID    string `json:"session_id,omitempty"`
	InterfaceID  string `json:"interface_id"`
	TargetID     string `json:"target_id,omitempty"`
	FilterID     string `json:"filter_id,omitempty"`
	Number       int    `json:"session_number,omitempty"`
	VNI          uint32 `json:"vni"`
	PacketLength int    `json:"packet_length,omitempty"`

	// Of the interface, as far as known.
	Address  netip.Addr `json:"address,omitzero"`
	MAC      string     `json:"mac,omitempty"`
	VPCID    string     `json:"vpc_id,omitempty"`
	SubnetID string     `json:"subnet_id,omitempty"`
	AZID     string     `json:"az_id,omitempty"`

	InstanceID   string `json:"instance_id,omitempty"`
	InstanceName string `json:"instance_name,omitempty"`
	ECS          *ECS   `json:"ecs,omitempty"`

	Rule   string `json:"rule,omitempty"`   // that wanted it
	Reason string `json:"reason,omitempty"` // in a few words

	Code    string `json:"code,omitempty"`    // of AWS's refusal, verbatim
	Message string `json:"message,omitempty"` // verbatim
}

// An ECS is the task behind an interface.
type ECS struct {
	Cluster           string   `json:"cluster,omitempty"`
	ClusterARN        string   `json:"cluster_arn,omitempty"`
	Service           string   `json:"service,omitempty"`
	TaskARN           string   `json:"task_arn"`
	TaskDefinitionARN string   `json:"task_definition_arn,omitempty"`
	ContainerInstance string   `json:"container_instance_arn,omitempty"`
	ContainerIDs      []string `json:"container_ids,omitempty"`
}
