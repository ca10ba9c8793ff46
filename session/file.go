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
	Name         string            `yaml:"name"`
	VNI          *uint32           `yaml:"vni"`
	Source       netip.Addr        `yaml:"source"`
	InterfaceID  string            `yaml:"interface_id"`
	AccountID    string            `yaml:"account_id"`
	Region       string            `yaml:"region"`
	AZID         string            `yaml:"az_id"`
	VPCID        string            `yaml:"vpc_id"`
	VPCCIDRs     []netip.Prefix    `yaml:"vpc_cidrs"`
	SubnetID     string            `yaml:"subnet_id"`
	SubnetCIDRs  []netip.Prefix    `yaml:"subnet_cidrs"`
	InstanceID   string            `yaml:"instance_id"`
	MAC          mac               `yaml:"mac"`
	Addresses    []netip.Addr      `yaml:"addresses"`
	SessionID    string            `yaml:"session_id"`
	TargetID     string            `yaml:"target_id"`
	PacketLength int               `yaml:"packet_length"`
	From         *time.Time        `yaml:"from"`
	Until        *time.Time        `yaml:"until"`
	ECS          ecs               `yaml:"ecs"`
	Labels       map[string]string `yaml:"labels"`
}

type ecs struct {
	Cluster           string   `yaml:"cluster"`
	ClusterARN        string   `yaml:"cluster_arn"`
	Service           string   `yaml:"service"`
	TaskARN           string   `yaml:"task_arn"`
	TaskDefinitionARN string   `yaml:"task_definition_arn"`
	ContainerInstARN  string   `yaml:"container_instance_arn"`
	ContainerIDs      []string `yaml:"container_ids"`
}

// mac is an interface's Ethernet address.
type mac [6]byte

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
