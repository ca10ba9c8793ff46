package discovery

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// The bounds of one entry. With them it takes 32 KiB at most; a usual one,
// with ten labels, takes some 2 KiB.
const (
	maxName       = 128 // bytes, as in a session file
	maxWord       = 512 // bytes of an id or ARN; longer ones are left out
	maxLabels     = 50  // as many tags as a resource may have, those of AWS aside
	maxLabelKey   = 128 // bytes, likewise
	maxLabelValue = 256
	maxContainers = 16
	maxAddresses  = 64
	maxPrefixes   = 16
)

// A candidate is a session that was listed, and all that is known behind it but
// for its time.
type candidate struct {
	session.Entry
	start   int64 // since when the task or the interface is there; 0: not known
	number  int   // of the mirror session
	pending bool  // the task or the instance behind it is still to be found
	kept    bool  // the name is that of its tenure
}

// candidate returns what the inventory says of one session. several says that
// the interface has other sessions too.
func (v *inventory) candidate(m *awsapi.MirrorSession, several bool) candidate {
	i := v.interfaces[m.InterfaceID]
	c := candidate{Entry: session.Entry{
		VNI:       m.VNI,
		Source:    packet.AddrFrom(i.Primary),
		MAC:       i.MAC,
		Addresses: addresses(i.Addresses),
		Learned:   true,
		Workload: packet.Workload{
			InterfaceID: word(i.ID), AccountID: word(cmp.Or(i.OwnerID, v.account)), Region: word(v.region), AZID: word(i.AZID),
			VPCID: word(i.VPCID), SubnetID: word(i.SubnetID), InstanceID: word(i.InstanceID),
			SessionID: word(m.ID), TargetID: word(m.TargetID), PacketLength: m.PacketLength,
		},
	}, start: nanoseconds(i.Attached), number: m.Number}
	w := &c.Workload
	if vpc := v.vpcs[i.VPCID]; vpc != nil {
		w.VPCCIDRs = prefixes(vpc.CIDRs)
	}
	if subnet := v.subnets[i.SubnetID]; subnet != nil {
		w.SubnetCIDRs = prefixes(subnet.CIDRs)
	}
	name := ""
	switch task := v.tasks[i.ID]; {
	case task != nil:
		name = c.task(task)
		w.Labels = labels(task.Tags, m.Tags)
		c.start = cmp.Or(nanoseconds(task.Created), c.start)
		c.Until = nanoseconds(task.Stopped)
	case attachment(i) != "":
		c.pending = true
	case i.InstanceID != "":
		instance, asked := v.instances[i.InstanceID]
		name, c.pending = i.InstanceID, !asked
		if instance != nil {
			name = cmp.Or(clean(instance.Name, maxName), name)
		}
		if asked {
			var tags map[string]string
			if instance != nil {
				tags = instance.Tags
			}
			w.Labels = labels(tags, m.Tags)
		}
	default:
		w.Labels = labels(m.Tags)
	}
	c.Name = nameOf(name, m.ID, several)
	return c
}

// task says of the candidate what is known of its task, and returns its name.
func (c *candidate) task(t *awsapi.Task) string {
	w := &c.Workload
	w.Cluster, w.ClusterARN = last(word(t.ClusterARN)), word(t.ClusterARN)
	w.Service = clean(t.Service, maxLabelValue)
	w.TaskARN, w.TaskDefinitionARN = word(t.ARN), word(t.TaskDefinitionARN)
	w.ContainerInstARN = word(t.ContainerInstanceARN)
	if settled(t) { // until then containers come one by one
		for _, id := range t.ContainerIDs {
			if id = word(id); id != "" && len(w.ContainerIDs) < maxContainers {
				w.ContainerIDs = append(w.ContainerIDs, id)
			}
		}
		slices.Sort(w.ContainerIDs)
	}
	family, _, _ := strings.Cut(last(t.TaskDefinitionARN), ":")
	id := last(t.ARN)
	return cmp.Or(w.Service, family, w.Cluster) + "-" + id[:min(8, len(id))]
}

// keep takes over from what was known of the session what this look did not
// tell, so that a look-up that fails makes nobody anonymous.
func (c *candidate) keep(old *session.Entry) {
	w, o := &c.Workload, &old.Workload
	if w.VPCCIDRs == nil {
		w.VPCCIDRs = o.VPCCIDRs
	}
	if w.SubnetCIDRs == nil {
		w.SubnetCIDRs = o.SubnetCIDRs
	}
	if w.ContainerIDs == nil && w.TaskARN == o.TaskARN {
		w.ContainerIDs = o.ContainerIDs
	}
	if !c.pending {
		return
	}
	w.Labels = o.Labels
	w.Cluster, w.ClusterARN, w.Service = o.Cluster, o.ClusterARN, o.Service
	w.TaskARN, w.TaskDefinitionARN, w.ContainerInstARN = o.TaskARN, o.TaskDefinitionARN, o.ContainerInstARN
	w.ContainerIDs = o.ContainerIDs
}

// nameOf returns a name that a session file could have too.
func nameOf(name, sessionID string, several bool) string {
	suffix := ""
	if several {
		suffix = "-" + sessionID
	}
	name = clean(name, maxName-len(suffix))
	if name == "" || session.Reserved(name) {
		return sessionID
	}
	return name + suffix
}

// attachment returns the id of the ECS attachment that an interface was made
// for, or "". ECS describes such an interface as
// arn:aws:ecs:<region>:<account>:attachment/<id>.
func attachment(i *awsapi.Interface) string {
	service, id, ok := strings.Cut(i.Description, ":attachment/")
	if !ok || !strings.HasPrefix(service, "arn:") || !strings.Contains(service, ":ecs:") {
		return ""
	}
	return id
}

// settled reports whether a task has all its containers, and what else is known
// of it will not change.
func settled(t *awsapi.Task) bool {
	switch t.LastStatus {
	case "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED", "DELETED":
		return true
	}
	return false
}

// last returns the last element of a path.
func last(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func nanoseconds(t time.Time) int64 {
	if t.Unix() <= 0 || t.Year() > 2261 { // what int64 nanoseconds hold
		return 0
	}
	return t.UnixNano()
}

// usable reports whether an interface can have an address.
func usable(a netip.Addr) bool {
	return a.IsValid() && a.Zone() == "" && !a.Unmap().IsUnspecified() && !a.Unmap().IsMulticast()
}

func addresses(list []netip.Addr) []packet.Addr {
	var all []packet.Addr
	for _, a := range list {
		if usable(a) && len(all) < maxAddresses {
			all = append(all, packet.AddrFrom(a))
		}
	}
	slices.SortFunc(all, func(a, b packet.Addr) int { return slices.Compare(a[:], b[:]) })
	return all
}

// prefixes keeps the first one, which is the primary one, where it is; AWS
// gives the others in any order.
func prefixes(list []netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range list {
		if p.IsValid() && len(all) < maxPrefixes {
			all = append(all, p.Masked())
		}
	}
	if len(all) > 2 {
		slices.SortFunc(all[1:], netip.Prefix.Compare)
	}
	return all
}

// labels returns the tags, of equal keys those that come first, or nil.
func labels(tags ...map[string]string) map[string]string {
	var all map[string]string
	for _, t := range tags {
		for _, key := range slices.Sorted(maps.Keys(t)) {
			k := clean(key, maxLabelKey)
			if _, taken := all[k]; k == "" || taken || len(all) == maxLabels {
				continue
			}
			if all == nil {
				all = make(map[string]string)
			}
			all[k] = clean(t[key], maxLabelValue)
		}
	}
	return all
}
