package discovery

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/periscope-collector/periscope/mirror/changes"
)

const (
	// maxRefused is how many refusals are kept: 10,000 of at most 8 KiB each, and
	// some 1 KiB as they are.
	maxRefused = 10_000
	maxCode    = 128
	maxMessage = 2048

	// refusedStay is how long a refusal is kept that nothing followed.
	refusedStay = 24 * time.Hour
)

// A Refusal is that AWS does not want an interface mirrored. Its JSON form is
// described in docs/formats.md.
type Refusal struct {
	InterfaceID  string    `json:"interface_id"`
	Account      string    `json:"account"`
	Region       string    `json:"region"`
	VPCID        string    `json:"vpc_id,omitempty"`
	SubnetID     string    `json:"subnet_id,omitempty"`
	TargetID     string    `json:"target_id,omitempty"`
	InstanceID   string    `json:"instance_id,omitempty"`
	InstanceName string    `json:"instance_name,omitempty"`
	Cluster      string    `json:"cluster,omitempty"`
	Service      string    `json:"service,omitempty"`
	TaskARN      string    `json:"task_arn,omitempty"`
	Rule         string    `json:"rule,omitempty"` // that wants it
	Code         string    `json:"code"`           // verbatim, 128 bytes at most
	Message      string    `json:"message"`        // verbatim, 2048 bytes at most
	Since        time.Time `json:"since"`          // the first refusal that nothing followed but others
	Last         time.Time `json:"last"`
	Tries        int       `json:"tries"` // that were refused, as far as it was written
}

// An iface is an interface as changes name it: what those of one account and region
// say is of no other's.
type iface struct {
	changes.Place
	id string
}

func ifaceOf(c *changes.Change) iface {
	return iface{changes.Place{Account: c.Account, Region: c.Region}, c.InterfaceID}
}

// refusals are the latest ones, of each interface one.
type refusals struct {
	of   map[iface]*Refusal
	done recent[iface, time.Time] // when something was done to an interface last
}

// take takes over a change, and reports whether it is a refusal that is new. That AWS
// refuses to change or delete a session says nothing of an interface: it is mirrored.
func (r *refusals) take(c *changes.Change, now time.Time) bool {
	if c.Kind == changes.Refused && c.SessionID != "" {
		return false
	}
	of := ifaceOf(c)
	old := r.of[of]
	if c.Kind != changes.Refused {
		if done, ok := r.done.get(of); !ok || done.Before(c.At) {
			r.done.put(of, c.At, now)
		}
		if old != nil && !c.At.Before(old.Last) {
			delete(r.of, of)
		}
		return false
	}
	if done, ok := r.done.get(of); ok && !done.Before(c.At) || now.Sub(c.At) >= refusedStay {
		return false
	}
	if old == nil {
		r.makeRoom()
		r.of[of] = refusalOf(c)
		return true
	}
	if !c.At.After(old.Last) { // known, or late
		return false
	}
	fresh := refusalOf(c)
	fresh.Since, fresh.Tries = old.Since, old.Tries+1
	*old, fresh = *fresh, old
	return fresh.Code != old.Code || fresh.Message != old.Message
}

// makeRoom forgets a tenth of the refusals, the oldest, if there are too many.
func (r *refusals) makeRoom() {
	if len(r.of) < maxRefused {
		return
	}
	for _, old := range r.list()[:maxRefused/10] {
		delete(r.of, iface{changes.Place{Account: old.Account, Region: old.Region}, old.InterfaceID})
	}
}

// expire forgets those that are old.
func (r *refusals) expire(now time.Time) {
	maps.DeleteFunc(r.of, func(_ iface, old *Refusal) bool { return now.Sub(old.Last) >= refusedStay })
}

// list returns them in order of time.
func (r *refusals) list() []Refusal {
	all := make([]Refusal, 0, len(r.of))
	for _, one := range r.of {
		all = append(all, *one)
	}
	slices.SortFunc(all, func(a, b Refusal) int {
		return cmp.Or(a.Last.Compare(b.Last), cmp.Compare(a.InterfaceID, b.InterfaceID), cmp.Compare(a.Account, b.Account), cmp.Compare(a.Region, b.Region))
	})
	return all
}

func refusalOf(c *changes.Change) *Refusal {
	r := &Refusal{
		InterfaceID: c.InterfaceID, Account: c.Account, Region: c.Region, VPCID: c.VPCID, SubnetID: c.SubnetID, TargetID: c.TargetID,
		InstanceID: c.InstanceID, InstanceName: clean(c.InstanceName, maxName), Rule: clean(c.Rule, maxName),
		Code: cut(c.Code, maxCode), Message: cut(c.Message, maxMessage), Since: c.At, Last: c.At, Tries: 1,
	}
	if e := c.ECS; e != nil {
		r.Cluster, r.Service, r.TaskARN = cmp.Or(last(e.ClusterARN), clean(e.Cluster, maxLabelValue)), clean(e.Service, maxLabelValue), e.TaskARN
	}
	return r
}

// workload says in a word whose an interface is.
func workload(c *changes.Change) string {
	if c.ECS != nil && c.ECS.TaskARN != "" {
		return c.ECS.TaskARN
	}
	return cmp.Or(c.InstanceID, "-")
}

// cut returns at most n bytes of s.
func cut(s string, n int) string { return strings.ToValidUTF8(s[:min(len(s), n)], "") }

// Refused returns the interfaces that AWS does not want mirrored, by the time of
// the latest refusal. The slice is the caller's.
func (d *Discovery) Refused() []Refusal {
	f := d.follower
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refused.list()
}
