package awsfake

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// An envelope is what EventBridge puts an event in.
type envelope struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     any      `json:"detail"`
	Colour     string   `json:"colour"` // AWS may add what nobody knows
}

// TaskEvent returns the event of a task as it is now, as EventBridge delivers it:
// with attachments of type eni, times as texts, no tags, and fields that nobody
// knows yet. It is nil if there is no such task.
func (f *Fake) TaskEvent(arn string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	for account, a := range f.state.Accounts {
		for region, there := range a.Regions {
			if t := there.Tasks[arn]; t != nil {
				return f.on(account, region).event("aws.ecs", "ECS Task State Change", arn, detail(t, f.now()))
			}
		}
	}
	return nil
}

// InstanceEvent returns the event of an instance as it is now; nil if there is none
// of the id.
func (f *Fake) InstanceEvent(id string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.owner(id)
	if c == nil {
		return nil
	}
	return c.event("aws.ec2", "EC2 Instance State-change Notification",
		fmt.Sprintf("arn:aws:ec2:%s:%s:instance/%s", c.region, c.account, id),
		map[string]any{"instance-id": id, "state": c.Instances[id].State.Name, "colour": []int{1}})
}

// event writes an event with an id of its own.
func (c *call) event(source, kind, resource string, detail any) []byte {
	text, err := json.Marshal(envelope{
		Version: "0", ID: c.uuid(), DetailType: kind, Source: source, Account: c.account,
		Time: c.now.Format(time.RFC3339), Region: c.region, Resources: []string{resource}, Detail: detail, Colour: "red",
	})
	if err != nil {
		panic(err) // plain values do not fail
	}
	return text
}

// detail returns what an event says of a task.
func detail(t *Task, now time.Time) map[string]any {
	text, err := json.Marshal(told(t))
	if err != nil {
		panic(err) // plain values do not fail
	}
	var said map[string]any
	if err := json.Unmarshal(text, &said); err != nil {
		panic(err) // it was marshalled a line before
	}
	for name, at := range map[string]Seconds{"createdAt": t.Created, "startedAt": t.Started, "stoppingAt": t.Stopping, "stoppedAt": t.Stopped, "updatedAt": {now}} {
		if delete(said, name); !at.IsZero() {
			said[name] = at.UTC().Format("2006-01-02T15:04:05.999Z")
		}
	}
	for _, attachment := range said["attachments"].([]any) {
		attachment.(map[string]any)["type"] = "eni"
	}
	delete(said, "tags")
	said["connectivity"] = "CONNECTED"
	said["attributes"] = []map[string]string{{"name": "ecs.cpu-architecture", "value": "x86_64"}}
	said["overrides"] = map[string]any{"containerOverrides": []map[string]string{{"name": t.Containers[0].Name}}}
	said["ephemeralStorage"] = map[string]int{"sizeInGiB": 20}
	said["enableExecuteCommand"] = false
	said["colour"] = map[string]any{"version": []int{1}, "taskArn": nil}
	return said
}

// told returns a task as ECS tells it: of an interface that is only planned, the
// subnet.
func told(t *Task) Task {
	copied := *t
	copied.Attachments = slices.Clone(t.Attachments)
	for i := range copied.Attachments {
		if a := &copied.Attachments[i]; a.Status == precreated {
			a.Details = slices.DeleteFunc(slices.Clone(a.Details), func(d Detail) bool { return d.Name != "subnetId" })
		}
	}
	return copied
}

// instanceStates are their codes, in the order of an instance's life.
var instanceStates = map[string]int32{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

// SetInstance gives an instance a state: pending, running, shutting-down,
// terminated, stopping, stopped. A terminated one has no interfaces.
func (f *Fake) SetInstance(id, state string) (Instance, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.owner(id)
	code, ok := instanceStates[state]
	if c == nil || !ok {
		return Instance{}, fmt.Errorf("there is no instance %q, or no state %q", id, state)
	}
	i := c.Instances[id]
	i.State = InstanceState{code, state}
	for card, face := range c.Interfaces {
		if state == "terminated" && face.Attachment != nil && face.Attachment.InstanceID == id {
			c.detach(card)
		}
	}
	return *i, nil
}

// owner returns what acts for the account in whose region the instance is; nil if
// there is none.
func (f *Fake) owner(instance string) *call {
	for account, a := range f.state.Accounts {
		for region, there := range a.Regions {
			if there.Instances[instance] != nil {
				return f.on(account, region)
			}
		}
	}
	return nil
}
