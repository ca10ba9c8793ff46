package discovery

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/internal/backoff"
)

// between is the least time between two looks at a scope, so that strangers have
// at most 30 made in a minute.
const between = 2 * time.Second

// A scope is one account in one region. One goroutine looks at it.
type scope struct {
	d    *Discovery
	api  client
	wake chan struct{} // of one place: a stranger showed

	failing    backoff.Pause // the list of sessions cannot be had
	away       atomic.Bool   // so
	interfaces cache[awsapi.Interface]
	instances  cache[awsapi.Instance]
	vpcs       cache[awsapi.VPC]
	subnets    cache[awsapi.Subnet]
	aims       cache[awsapi.Target]
	filters    cache[mirrorFilter]
	tasks      tasks

	shown    map[string]showing // by session of the last list
	nameless failure            // the account cannot be asked
	surplus  int                // sessions of the last list beyond maxSessions
	adrift   int                // sessions of the last list whose target AWS does not list
	full     bool               // that there is a surplus was logged

	targets map[string]bool // by id: whether it is this instance's; guarded by d.mu

	mu      sync.Mutex // guards what follows
	account string
	success time.Time
	problem error
	skipped map[string]int
	errors  map[string]uint64

	filterOf map[string]*mirrorFilter // by session, of the last list
}

func newScope(d *Discovery, api client) *scope {
	s := &scope{d: d, api: api, wake: make(chan struct{}, 1), tasks: tasks{api: api}, errors: make(map[string]uint64)}
	s.interfaces = newCache(d, api.Interfaces, func(i *awsapi.Interface) string { return i.ID })
	s.instances = newCache(d, api.Instances, func(i *awsapi.Instance) string { return i.ID })
	s.vpcs = newCache(d, api.VPCs, func(v *awsapi.VPC) string { return v.ID })
	s.subnets = newCache(d, api.Subnets, func(v *awsapi.Subnet) string { return v.ID })
	s.aims = newCache(d, listed(api.Targets), func(t *awsapi.Target) string { return t.ID })
	s.filters = newCache(d, listed(func(ctx context.Context) ([]mirrorFilter, error) { return mirrorFilters(ctx, api) }),
		func(f *mirrorFilter) string { return f.id })
	if arn := strings.Split(api.RoleARN(), ":"); len(arn) > 4 {
		s.account = arn[4]
	}
	return s
}

// where returns the account and the region, empty where not known yet.
func (s *scope) where() (account, region string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.account, s.api.Region()
}

// run looks at once, then every poll, and when a stranger shows.
func (s *scope) run(ctx context.Context) {
	for {
		now := time.Now()
		s.look(ctx, now)
		next := time.NewTimer(time.Until(s.next(now)))
		for again := false; !again; {
			select {
			case <-ctx.Done():
				next.Stop()
				return
			case <-next.C:
				again = true
			case <-s.wake:
				if s.failing.Delay == 0 { // else it waits for AWS to come back
					next.Reset(time.Until(now.Add(between)))
				}
			}
		}
		select {
		case <-s.wake: // this look answers it
		default:
		}
	}
}

// next returns when to look again: give or take a tenth, so that collectors that
// start at once do not go on asking at once.
func (s *scope) next(now time.Time) time.Time {
	delay := s.d.poll
	if s.failing.Delay != 0 {
		delay = s.failing.Delay
	}
	return now.Add(apart(delay) + rand.N(delay/5))
}

// apart returns the least time between two looks of which there is one every so
// often.
func apart(every time.Duration) time.Duration { return every - every/10 }

// look asks what there is, and has it taken over.
func (s *scope) look(ctx context.Context, now time.Time) {
	v, problem := s.gather(ctx, now)
	if ctx.Err() != nil {
		return // what failed did because of that
	}
	var skipped map[string]int
	if v == nil {
		s.failing.Extend(now, s.d.poll, max(failLongest, s.d.poll))
		s.away.Store(true)
	} else {
		s.away.Store(false)
		s.failing = backoff.Pause{}
		v.apart, v.heard = apart(s.d.poll), sync.OnceValue(s.d.heard)
		v.show(s.shown, nanoseconds(s.success))
		s.shown = v.shown
		skipped = s.d.apply(v, now)
		if s.surplus > 0 {
			skipped["limit"] = s.surplus
		}
		if s.adrift > 0 {
			skipped["no_target"] = s.adrift
		}
		if s.surplus > 0 && !s.full {
			s.d.log.Warn("further mirror sessions of an account and region are left out", "account", v.account, "region", v.region,
				"kept", maxSessions, "left_out", s.surplus)
		}
		s.full = s.surplus > 0
	}
	s.report(v, skipped, problem, now)
	s.d.strangers.looked(s, now)
}
