package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
)

// What AWS knows of mirroring at home: a load balancer as target, and a filter.
const (
	homeTarget = "tmt-00000000000000001"
	homeFilter = "tmf-00000000000000001"
)

// homeRules want the services web and api mirrored.
const homeRules = `targets: [{id: ` + homeTarget + `}]
sources:
  - name: web
    match: {cluster: [shop], service: [web, api]}
    filter: ` + homeFilter + `
`

// A home is an AWS of a test's own, and a directory with rules.
type home struct {
	*awsfake.Server
	t   testing.TB
	dir string
}

// newHome has AWS know a target, a filter, and no session; the rules are in
// mirror.yaml.
func newHome(t testing.TB, rules string) *home {
	t.Helper()
	h := &home{Server: awsfake.Start(t), t: t, dir: t.TempDir()}
	h.change(func(r *awsfake.Region) {
		r.Targets = map[string]*awsfake.MirrorTarget{homeTarget: {
			ID: homeTarget, Type: "network-load-balancer", LoadBalancerARN: "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/net/mirror/1", OwnerID: awsfake.HomeAccount}}
		r.Filters = map[string]*awsfake.MirrorFilter{homeFilter: {ID: homeFilter}}
	})
	h.rules(rules)
	return h
}

func (h *home) change(change func(*awsfake.Region)) {
	h.Change(func(s *awsfake.State) { change(s.Region(awsfake.HomeAccount, awsfake.HomeRegion)) })
}

// rules writes the rules file.
func (h *home) rules(text string) { writeFile(h.t, filepath.Join(h.dir, "mirror.yaml"), text) }

// run runs a task of a service in the cluster shop, in a status.
func (h *home) run(service, status string) awsfake.Task {
	h.t.Helper()
	task, err := h.RunTask(awsfake.Run{
		Account: awsfake.HomeAccount, Region: awsfake.HomeRegion, Cluster: "shop", Service: service, Status: status,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return task
}

// stop stops a task.
func (h *home) stop(task awsfake.Task) {
	h.t.Helper()
	if _, err := h.StopTask(task.ARN); err != nil {
		h.t.Fatal(err)
	}
}

// mirrored returns the interfaces that have a session, in order, one entry for each.
func (h *home) mirrored() (interfaces []string) {
	h.change(func(r *awsfake.Region) {
		for _, s := range r.Sessions {
			interfaces = append(interfaces, s.InterfaceID)
		}
	})
	slices.Sort(interfaces)
	return interfaces
}

// want checks that the tasks, and nothing else, are mirrored, once each.
func (h *home) want(tasks ...awsfake.Task) {
	h.t.Helper()
	if got, want := h.mirrored(), interfacesOf(tasks); !slices.Equal(got, want) {
		h.t.Errorf("mirrored %s, want %s", got, want)
	}
}

// wait waits until the tasks, and nothing else, are mirrored.
func (h *home) wait(tasks ...awsfake.Task) {
	h.t.Helper()
	eventually(h.t, strings.Join(interfacesOf(tasks), ", ")+" mirrored", func() bool {
		return slices.Equal(h.mirrored(), interfacesOf(tasks))
	})
}

func interfacesOf(tasks []awsfake.Task) (interfaces []string) {
	for _, task := range tasks {
		interfaces = append(interfaces, task.Interface())
	}
	slices.Sort(interfaces)
	return interfaces
}
