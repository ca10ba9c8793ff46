package mirror

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
)

const (
	// MaxUnwritten is how many changes are kept that could not be written: some 4 MiB.
	MaxUnwritten = 1000

	// maxMisses is how many writes fail in a round before no other is tried.
	maxMisses = 3
)

// unsaid are changes that are to be written.
type unsaid struct {
	write  func(context.Context, changes.Change) error
	log    *slog.Logger
	list   []changes.Change
	misses int   // of this round
	lost   int   // in this round
	err    error // of the last miss
}

// say writes a change, or keeps it.
func (r *Reconciler) say(ctx context.Context, c changes.Change) {
	c.Account, c.Region = r.c.Account, r.c.Region
	u := &r.unsaid
	if u.write == nil || u.said(ctx, c) {
		return
	}
	if u.list = append(u.list, c); len(u.list) > MaxUnwritten {
		u.list = slices.Delete(u.list, 0, 1)
		u.lost++
	}
}

// said reports whether a change is written, or never can be: kept, it would fail
// every round from then on.
func (u *unsaid) said(ctx context.Context, c changes.Change) bool {
	if u.misses >= maxMisses {
		return false
	}
	switch err := u.write(ctx, c); {
	case errors.Is(err, changes.ErrInvalid):
		u.log.Error("a change is lost: it cannot be written", "kind", c.Kind, "interface", c.InterfaceID, "session", c.SessionID, "error", err)
	case err != nil:
		u.err = err
		u.misses++
		return false
	}
	return true
}

// again begins a round: what is kept is offered again, and what is not taken goes
// last, so that it holds up nothing else.
func (u *unsaid) again(ctx context.Context) {
	u.misses, u.lost = 0, 0
	var missed []changes.Change
	for i, c := range u.list {
		if u.misses >= maxMisses {
			u.list = append(u.list[i:len(u.list):len(u.list)], missed...)
			return
		}
		if !u.said(ctx, c) {
			missed = append(missed, c)
		}
	}
	u.list = missed
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
