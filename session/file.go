package session

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/periscope-collector/periscope/packet"
)

// document is the session file as it is written. Of an entry only vni is
// required.
type document struct {
	Sessions []entry `yaml:"sessions"`
}

type entry struct {
	Name         string            `yaml:"name" json:"name,omitempty"`
	VNI          *uint32           `yaml:"vni" json:"vni"`
	Source       netip.Addr        `yaml:"source" json:"source,omitzero"`
	InterfaceID  string            `yaml:"interface_id" json:"interface_id,omitempty"`
	AccountID    string            `yaml:"account_id" json:"account_id,omitempty"`
	Region       string            `yaml:"region" json:"region,omitempty"`
	AZID         string            `yaml:"az_id" json:"az_id,omitempty"`
	VPCID        string            `yaml:"vpc_id" json:"vpc_id,omitempty"`
	VPCCIDRs     []netip.Prefix    `yaml:"vpc_cidrs" json:"vpc_cidrs,omitempty"`
	SubnetID     string            `yaml:"subnet_id" json:"subnet_id,omitempty"`
	SubnetCIDRs  []netip.Prefix    `yaml:"subnet_cidrs" json:"subnet_cidrs,omitempty"`
	InstanceID   string            `yaml:"instance_id" json:"instance_id,omitempty"`
	MAC          mac               `yaml:"mac" json:"mac,omitzero"`
	Addresses    []netip.Addr      `yaml:"addresses" json:"addresses,omitempty"`
	SessionID    string            `yaml:"session_id" json:"session_id,omitempty"`
	TargetID     string            `yaml:"target_id" json:"target_id,omitempty"`
	PacketLength int               `yaml:"packet_length" json:"packet_length,omitempty"`
	From         *time.Time        `yaml:"from" json:"from,omitempty"`
	Until        *time.Time        `yaml:"until" json:"until,omitempty"`
	ECS          ecs               `yaml:"ecs" json:"ecs,omitzero"`
	Labels       map[string]string `yaml:"labels" json:"labels,omitempty"`
	Announced    bool              `yaml:"-" json:"announced,omitempty"` // of the journal
}

type ecs struct {
	Cluster           string   `yaml:"cluster" json:"cluster,omitempty"`
	ClusterARN        string   `yaml:"cluster_arn" json:"cluster_arn,omitempty"`
	Service           string   `yaml:"service" json:"service,omitempty"`
	TaskARN           string   `yaml:"task_arn" json:"task_arn,omitempty"`
	TaskDefinitionARN string   `yaml:"task_definition_arn" json:"task_definition_arn,omitempty"`
	ContainerInstARN  string   `yaml:"container_instance_arn" json:"container_instance_arn,omitempty"`
	ContainerIDs      []string `yaml:"container_ids" json:"container_ids,omitempty"`
}

// mac is an interface's Ethernet address.
type mac [6]byte

// MarshalText writes what UnmarshalText reads.
func (m mac) MarshalText() ([]byte, error) {
	return []byte(net.HardwareAddr(m[:]).String()), nil
}

// UnmarshalText reads the usual notations, with colons, dashes or dots.
func (m *mac) UnmarshalText(text []byte) error {
	parsed, err := net.ParseMAC(string(text))
	if err != nil || len(parsed) != len(m) || parsed[0]&1 != 0 || mac(parsed) == (mac{}) {
		return errors.New("must be an interface's MAC address such as 0a:11:22:33:44:55")
	}
	*m = mac(parsed)
	return nil
}

// entry returns what the file says, with the default name. It expects what
// check accepts.
func (f *entry) entry() Entry {
	e := Entry{
		Name:   f.Name,
		VNI:    *f.VNI,
		Source: packet.AddrFrom(f.Source),
		MAC:    f.MAC,
		From:   nanoseconds(f.From),
		Until:  nanoseconds(f.Until),

		Announced: f.Announced,
		Workload: packet.Workload{
			InterfaceID: f.InterfaceID, AccountID: f.AccountID, Region: f.Region, AZID: f.AZID,
			VPCID: f.VPCID, SubnetID: f.SubnetID, InstanceID: f.InstanceID,
			SessionID: f.SessionID, TargetID: f.TargetID,
			PacketLength: f.PacketLength,
			Cluster:      f.ECS.Cluster, ClusterARN: f.ECS.ClusterARN, Service: f.ECS.Service,
			TaskARN: f.ECS.TaskARN, TaskDefinitionARN: f.ECS.TaskDefinitionARN,
			ContainerInstARN: f.ECS.ContainerInstARN,
			ContainerIDs:     f.ECS.ContainerIDs,
			Labels:           f.Labels,
		},
	}
	for _, a := range f.Addresses {
		e.Addresses = append(e.Addresses, packet.AddrFrom(a))
	}
	for _, p := range f.VPCCIDRs {
		e.Workload.VPCCIDRs = append(e.Workload.VPCCIDRs, p.Masked())
	}
	for _, p := range f.SubnetCIDRs {
		e.Workload.SubnetCIDRs = append(e.Workload.SubnetCIDRs, p.Masked())
	}
	if e.Name == "" {
		e.Name = defaultName(&e)
	}
	return e
}

// file returns what entry returns the entry of.
func (e *Entry) file() *entry {
	w := &e.Workload
	f := &entry{
		Name: e.Name, VNI: &e.VNI, Source: e.Source.Netip(), MAC: e.MAC,
		InterfaceID: w.InterfaceID, AccountID: w.AccountID, Region: w.Region, AZID: w.AZID,
		VPCID: w.VPCID, VPCCIDRs: w.VPCCIDRs, SubnetID: w.SubnetID, SubnetCIDRs: w.SubnetCIDRs,
		InstanceID: w.InstanceID, SessionID: w.SessionID, TargetID: w.TargetID, PacketLength: w.PacketLength,
		From: moment(e.From), Until: moment(e.Until),
		ECS: ecs{
			Cluster: w.Cluster, ClusterARN: w.ClusterARN, Service: w.Service,
			TaskARN: w.TaskARN, TaskDefinitionARN: w.TaskDefinitionARN,
			ContainerInstARN: w.ContainerInstARN, ContainerIDs: w.ContainerIDs,
		},
		Labels: w.Labels, Announced: e.Announced,
	}
	for _, a := range e.Addresses {
		f.Addresses = append(f.Addresses, a.Netip())
	}
	return f
}

func defaultName(e *Entry) string {
	switch {
	case e.Workload.SessionID != "":
		return e.Workload.SessionID
	case e.Source.IsZero():
		return unknownName(e.VNI)
	}
	return unknownName(e.VNI) + "-" + e.Source.String()
}

func nanoseconds(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.UnixNano()
}

// moment is the inverse of nanoseconds.
func moment(ns int64) *time.Time {
	if ns == 0 {
		return nil
	}
	t := time.Unix(0, ns).UTC()
	return &t
}
