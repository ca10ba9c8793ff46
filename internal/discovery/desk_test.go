package discovery

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/internal/awsapi"
)

// A desk answers as one account in one region does.
type desk struct {
	mu         sync.Mutex
	account    string
	role       string
	sessions   map[string]awsapi.MirrorSession
	interfaces map[string]awsapi.Interface
	instances  map[string]awsapi.Instance
	targets    map[string]awsapi.Target
	filters    map[string]filter.Filter
	tasks      map[string]awsapi.Task // by ARN
	fail       map[string]error       // by operation
	calls      map[string]uint64
}

func newDesk(account string) *desk {
	return &desk{
		account: account, sessions: make(map[string]awsapi.MirrorSession), interfaces: make(map[string]awsapi.Interface),
		instances: make(map[string]awsapi.Instance), targets: make(map[string]awsapi.Target),
		tasks: make(map[string]awsapi.Task), fail: make(map[string]error), calls: make(map[string]uint64),
	}
}

// change changes what the desk says.
func (d *desk) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func ask[T any](d *desk, operation string, ids []string, from map[string]T) ([]T, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[operation]++
	if err := d.fail[operation]; err != nil {
		return nil, err
	}
	if ids == nil {
		ids = slices.Sorted(maps.Keys(from))
	}
	var found []T
	for _, id := range ids {
		if item, ok := from[id]; ok {
			found = append(found, item)
		}
	}
	return found, nil
}

func (d *desk) RoleARN() string { return d.role }
func (d *desk) Region() string  { return "eu-central-1" }
func (d *desk) Close()          {}
func (d *desk) Calls() map[string]uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.calls)
}

func (d *desk) Identity(context.Context) (string, error) {
	_, err := ask(d, "Identity", nil, map[string]int{})
	return d.account, err
}

func (d *desk) Sessions(context.Context) ([]awsapi.MirrorSession, error) {
	return ask(d, "Sessions", nil, d.sessions)
}

func (d *desk) Filters(context.Context) ([]filter.Filter, error) {
	return ask(d, "Filters", nil, d.filters)
}

func (d *desk) Targets(context.Context) ([]awsapi.Target, error) {
	return ask(d, "Targets", nil, d.targets)
}

func (d *desk) Interfaces(_ context.Context, ids []string) ([]awsapi.Interface, error) {
	return ask(d, "Interfaces", ids, d.interfaces)
}

func (d *desk) Instances(_ context.Context, ids []string) ([]awsapi.Instance, error) {
	return ask(d, "Instances", ids, d.instances)
}

func (d *desk) VPCs(_ context.Context, ids []string) ([]awsapi.VPC, error) {
	return ask(d, "VPCs", ids, map[string]awsapi.VPC{"vpc-1": {ID: "vpc-1", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}}})
}

func (d *desk) Subnets(_ context.Context, ids []string) ([]awsapi.Subnet, error) {
	return ask(d, "Subnets", ids, map[string]awsapi.Subnet{"subnet-1": {ID: "subnet-1", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}})
}

func (d *desk) Clusters(context.Context) ([]string, error) {
	all, err := ask(d, "Clusters", nil, d.tasks)
	set := make(map[string]bool)
	for _, t := range all {
		set[t.ClusterARN] = true
	}
	return slices.Sorted(maps.Keys(set)), err
}

func (d *desk) TaskARNs(_ context.Context, cluster string, stopped bool) ([]string, error) {
	all, err := ask(d, "TaskARNs", nil, d.tasks)
	var arns []string
	for _, t := range all {
		if last(t.ClusterARN) == last(cluster) && t.Stopped.IsZero() != stopped {
			arns = append(arns, t.ARN)
		}
	}
	return arns, err
}

func (d *desk) Tasks(_ context.Context, _ string, arns []string) ([]awsapi.Task, error) {
	return ask(d, "Tasks", arns, d.tasks)
}

// run starts a task with a mirrored interface.
func (d *desk) run(name, address string, vni uint32, created int) {
	d.change(func() {
		face := eni(name, address, created+2)
		task := taskOf(face, created)
		d.interfaces[face.ID], d.tasks[task.ARN] = *face, *task
		d.sessions["tms-"+name] = awsapi.MirrorSession{ID: "tms-" + name, InterfaceID: face.ID, TargetID: "tmt-1", VNI: vni, Number: 1}
	})
}

// stop ends it, at a time.
func (d *desk) stop(name string, at time.Time) {
	d.change(func() {
		arn := taskOf(eni(name, "10.0.0.1", 0), 0).ARN
		t := d.tasks[arn]
		t.LastStatus, t.Stopped = "STOPPED", at
		d.tasks[arn] = t
		delete(d.interfaces, "eni-"+name)
		delete(d.sessions, "tms-"+name)
	})
}
