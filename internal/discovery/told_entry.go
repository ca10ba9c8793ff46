package discovery

import (
	"cmp"
	"net"
	"net/netip"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/mirror/changes"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// unfit says in a word why no frame can be of a session that was made, "" if some
// can. It is as of one that is listed.
func unfit(c *changes.Change) string {
	mac := macOf(c.MAC)
	switch {
	case len(c.SessionID) > maxName/2 || session.Reserved(c.SessionID) || mac[0]&1 != 0:
		return "odd"
	case c.VNI == 0:
		return "no_vni"
	case !usable(c.Address):
		return "no_address"
	}
	return ""
}

// macOf returns a MAC address, zero if there is none.
func macOf(text string) (mac [6]byte) {
	if b, err := net.ParseMAC(text); err == nil && len(b) == len(mac) {
		mac = [6]byte(b)
	}
	return mac
}

// candidate returns what a change says of the session that it made. several says
// that the interface has other sessions too.
func (t *telling) candidate(c *changes.Change, several bool) candidate {
	n := candidate{Entry: session.Entry{
		VNI:       c.VNI,
		Source:    packet.AddrFrom(c.Address),
		MAC:       macOf(c.MAC),
		Addresses: addresses([]netip.Addr{c.Address}),
		Learned:   true,
		Workload: packet.Workload{
			InterfaceID: c.InterfaceID, AccountID: c.Account, Region: c.Region, AZID: c.AZID, VPCID: c.VPCID, SubnetID: c.SubnetID,
			InstanceID: c.InstanceID, SessionID: c.SessionID, TargetID: c.TargetID, PacketLength: c.PacketLength,
		},
	}, number: c.Number}
	w := &n.Workload
	if like := t.nets[c.VPCID]; like != nil {
		w.VPCCIDRs = like.VPCCIDRs
	}
	if like := t.nets[c.SubnetID]; like != nil {
		w.SubnetCIDRs = like.SubnetCIDRs
	}
	name := cmp.Or(clean(c.InstanceName, maxName), c.InstanceID)
	if e := c.ECS; e != nil && e.TaskARN != "" {
		name = n.task(taskOfChange(e))
		w.Cluster = cmp.Or(w.Cluster, clean(e.Cluster, maxLabelValue))
	}
	n.Name = nameOf(name, c.SessionID, several)
	return n
}

// taskOfChange returns the task as AWS says it. Its containers may not be all.
func taskOfChange(e *changes.ECS) *awsapi.Task {
	return &awsapi.Task{
		ARN: e.TaskARN, ClusterARN: e.ClusterARN, Service: e.Service, TaskDefinitionARN: e.TaskDefinitionARN,
		ContainerInstanceARN: e.ContainerInstance, ContainerIDs: e.ContainerIDs, LastStatus: "RUNNING",
	}
}
