package discovery

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
)

// gather asks what there is in a scope. Without the whole list of sessions there
// is no inventory; what else fails is left out of it. The error is the first.
func (s *scope) gather(ctx context.Context, now time.Time) (*inventory, error) {
	sessions, err := s.api.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	var problem error
	note := func(err error) {
		if problem == nil {
			problem = err
		}
	}
	sessions, err = s.towardsUs(ctx, sessions, now)
	note(err)
	wanted := make(map[string]bool)
	for i := range sessions {
		wanted[sessions[i].InterfaceID] = true
	}
	note(s.interfaces.fill(ctx, wanted, now))
	note(s.identify(ctx, now))
	v := &inventory{scope: s, sessions: sessions, interfaces: s.interfaces.items}
	v.account, v.region = s.where()

	instances, vpcs, subnets := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	fargate := make(map[string]*awsapi.Interface)
	for id, face := range v.interfaces {
		switch {
		case face == nil:
			continue
		case attachment(face) != "":
			fargate[id] = face
		case face.InstanceID != "":
			instances[face.InstanceID] = true
		}
		if face.VPCID != "" {
			vpcs[face.VPCID] = true
		}
		if face.SubnetID != "" {
			subnets[face.SubnetID] = true
		}
	}
	note(s.instances.fill(ctx, instances, now))
	note(s.vpcs.fill(ctx, vpcs, now))
	note(s.subnets.fill(ctx, subnets, now))
	v.instances, v.vpcs, v.subnets = s.instances.items, s.withOwn(ctx, vpcs, now), s.subnets.items
	note(s.gatherTasks(ctx, v, fargate, now))
	note(s.gatherFilters(ctx, sessions, now))
	return v, problem
}

// gatherTasks finds the tasks behind Fargate's interfaces, and whether those of
// sessions that are gone have stopped.
func (s *scope) gatherTasks(ctx context.Context, v *inventory, faces map[string]*awsapi.Interface, now time.Time) error {
	done, gone := s.d.pursue(v)
	v.tasks = s.tasks.find(ctx, faces, func(id string) bool { return done[id] }, now)
	v.stopped = s.tasks.stopped(ctx, gone, now)
	return s.tasks.problem(now)
}

// withOwn returns the VPCs that are known, and where this instance's is wanted and
// is not, what its metadata say of it.
func (s *scope) withOwn(ctx context.Context, wanted map[string]bool, now time.Time) map[string]*awsapi.VPC {
	vpcs := s.vpcs.items
	for id := range wanted {
		if vpcs[id] != nil {
			continue
		}
		if self := s.d.own(ctx, now); self != nil && self.VPCID == id {
			vpcs = maps.Clone(vpcs)
			vpcs[id] = &awsapi.VPC{ID: id, CIDRs: self.VPCCIDRs}
		}
	}
	return vpcs
}

// identify finds out the account: by asking, else as that of any interface, else
// of a collector without a role to take on as that of its instance.
func (s *scope) identify(ctx context.Context, now time.Time) error {
	account, _ := s.where()
	if account != "" {
		return nil
	}
	err := s.nameless.err
	if s.nameless.Due(now) {
		account, err = s.api.Identity(ctx)
		s.nameless.result(err, now)
	}
	for _, face := range s.interfaces.items {
		if account == "" && face != nil {
			account, err = face.OwnerID, nil
		}
	}
	if account == "" && s.api.RoleARN() == "" {
		if self := s.d.own(ctx, now); self != nil && self.AccountID != "" {
			account, err = self.AccountID, nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account = account
	return err
}

// towardsUs returns the sessions whose target is configured or this instance's,
// at most maxSessions. If that cannot be told all count; those whose target AWS
// does not list are noted as adrift.
func (s *scope) towardsUs(ctx context.Context, all []awsapi.MirrorSession, now time.Time) (ours []awsapi.MirrorSession, err error) {
	configured := len(s.d.targets) > 0
	var self *awsapi.Self
	if !configured {
		self = s.d.own(ctx, now)
	}
	told := self != nil && len(self.Interfaces) > 0
	if told {
		err = s.listTargets(ctx, all, self.Interfaces, now)
	}
	before := s.adrift
	s.surplus, s.adrift = 0, 0
	for i := range all {
		target := all[i].TargetID
		count := !configured || s.d.targets[target]
		if told {
			mine, known := s.d.ours(target)
			_, asked := s.aims.items[target]
			count = mine || !known && !asked
			if !known && asked {
				s.adrift++
			}
		}
		switch {
		case !count:
		case len(ours) < maxSessions:
			ours = append(ours, all[i])
		default:
			s.surplus++
		}
	}
	if s.adrift > 0 && before == 0 {
		account, region := s.where()
		s.d.log.Info("mirror sessions are left out as long as AWS does not list their targets", "account", account, "region", region,
			"sessions", s.adrift)
	}
	return ours, err
}

// listTargets takes down which of the sessions' targets are this instance's.
func (s *scope) listTargets(ctx context.Context, sessions []awsapi.MirrorSession, interfaces []string, now time.Time) error {
	wanted := make(map[string]bool)
	for i := range sessions {
		wanted[sessions[i].TargetID] = true
	}
	err := s.aims.fill(ctx, wanted, now)
	targets := make(map[string]bool)
	for id, t := range s.aims.items {
		if t != nil { // one without an interface is a load balancer
			targets[id] = t.InterfaceID == "" || slices.Contains(interfaces, t.InterfaceID)
		}
	}
	s.d.mu.Lock()
	s.targets = targets
	s.d.mu.Unlock()
	return err
}
