package mirror

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
)

// MaxUnwritten is how many changes are kept that could not be written: some 4 MiB.
const MaxUnwritten = 1000

// unsaid are changes that are to be written, oldest first.
type unsaid struct {
	write func(context.Context, changes.Change) error
	list  []changes.Change
	lost  int
	err   error // that keeps the first from being written
}

// say writes a change, or keeps it.
func (r *Reconciler) say(ctx context.Context, c changes.Change) {
	if r.unsaid.write == nil {
		return
	}
	c.Account, c.Region = r.c.Account, r.c.Region
	u := &r.unsaid
	if u.list = append(u.list, c); len(u.list) == 1 {
		u.flush(ctx)
	}
	if len(u.list) > MaxUnwritten {
		u.list = slices.Delete(u.list, 0, 1)
		u.lost++
	}
}

// flush writes what it can, in order.
func (u *unsaid) flush(ctx context.Context) {
	for len(u.list) > 0 {
		if u.err = u.write(ctx, u.list[0]); u.err != nil {
			return
		}
		u.list = slices.Delete(u.list, 0, 1)
	}
}

// change returns what is said of an action.
func (a *Action) change(kind string, s *Session, at time.Time) changes.Change {
	c := changes.Change{
		At: at, Kind: kind,
		SessionID: s.ID, InterfaceID: s.InterfaceID, TargetID: s.TargetID, FilterID: s.FilterID,
		Number: s.Number, VNI: s.VNI, PacketLength: s.PacketLength,
		Rule: a.Rule, Reason: a.Reason,
	}
	if a.Source == nil {
		return c
	}
	c.Address, c.VPCID, c.SubnetID, c.AZID = a.Source.Address, a.Source.VPCID, a.Source.SubnetID, a.Source.AZID
	if a.Source.MAC != [6]byte{} {
		c.MAC = net.HardwareAddr(a.Source.MAC[:]).String()
	}
	c.InstanceID, c.InstanceName = a.Source.instance().ID, a.Source.instance().Name
	if t := a.Source.Task; t != nil {
		c.ECS = &changes.ECS{
			Cluster: t.Cluster, ClusterARN: t.ClusterARN, Service: t.Service, TaskARN: t.ARN,
			TaskDefinitionARN: t.TaskDefinitionARN, ContainerInstance: t.ContainerInstance, ContainerIDs: t.ContainerIDs,
		}
	}
	return c
}
