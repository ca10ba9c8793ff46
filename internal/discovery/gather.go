package discovery

import (
	"context"
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
	v.instances, v.vpcs, v.subnets = s.instances.items, s.vpcs.items, s.subnets.items
	note(s.gatherTasks(ctx, v, fargate, now))
	note(s.gatherFilters(ctx, sessions, now))
	return v, problem
}

// gatherTasks finds the tasks behind Fargate's interfaces, and whether those of
// sessions that are gone have stopped.
func (s *scope) gatherTasks(ctx context.Context, v *inventory, faces map[string]*awsapi.Interface, now time.Time) (err error) {
	done, gone := s.d.pursue(v)
	v.tasks, err = s.tasks.find(ctx, faces, func(id string) bool { return done[id] }, now)
	if err != nil {
		return err
	}
	v.stopped, err = s.tasks.stopped(ctx, gone)
	return err
}

// identify finds out the account: by asking, else as that of any interface.
func (s *scope) identify(ctx context.Context, now time.Time) error {
	account, _ := s.where()
	if account != "" {
		return nil
	}
	err := s.nameless.err
	if s.nameless.due(now) {
		account, err = s.api.Identity(ctx)
		s.nameless.result(err, now)
	}
	for _, face := range s.interfaces.items {
		if account == "" && face != nil {
			account, err = face.OwnerID, nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.account = account
	return err
}

// towardsUs returns the sessions whose target is configured or this instance's,
// at most maxSessions. If that cannot be told all count.
func (s *scope) towardsUs(ctx context.Context, all []awsapi.MirrorSession, now time.Time) (ours []awsapi.MirrorSession, err error) {
	count := func(target string) bool { return s.d.targets[target] }
	if len(s.d.targets) == 0 {
		self := s.d.own(ctx, now)
		if self == nil || len(self.Interfaces) == 0 {
			count = func(string) bool { return true }
		} else {
			err = s.listTargets(ctx, all, self.Interfaces, now)
			blind := s.listed.IsZero()
			count = func(target string) bool {
				ours, known := s.d.ours(target)
				return ours || !known && blind
			}
		}
	}
	s.surplus = 0
	for i := range all {
		switch {
		case !count(all[i].TargetID):
		case len(ours) < maxSessions:
			ours = append(ours, all[i])
		default:
			s.surplus++
		}
	}
	return ours, err
}

// listTargets lists targets when the list is old, or a session has one that was
// in no list.
func (s *scope) listTargets(ctx context.Context, sessions []awsapi.MirrorSession, interfaces []string, now time.Time) error {
	old := s.listed.IsZero() || now.Sub(s.listed) >= refreshEvery
	for i := 0; i < len(sessions) && !old; i++ {
		_, known := s.d.ours(sessions[i].TargetID)
		old = !known && !s.strange[sessions[i].TargetID]
	}
	if !old || !s.targetless.due(now) {
		return s.targetless.err
	}
	list, err := s.api.Targets(ctx)
	if s.targetless.result(err, now); err != nil {
		return err
	}
	targets := make(map[string]bool, len(list))
	for _, t := range list { // one without an interface is a load balancer
		targets[t.ID] = t.InterfaceID == "" || slices.Contains(interfaces, t.InterfaceID)
	}
	s.listed, s.strange = now, make(map[string]bool)
	s.d.mu.Lock()
	s.targets = targets
	s.d.mu.Unlock()
	for i := range sessions {
		if _, known := s.d.ours(sessions[i].TargetID); !known {
			s.strange[sessions[i].TargetID] = true
		}
	}
	return nil
}
