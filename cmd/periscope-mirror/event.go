package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/periscope-collector/periscope/mirror"
)

// An event is one of EventBridge, or of its Scheduler: where to look, and no more.
type event struct {
	hints []mirror.Hint
	whole bool      // look at everything
	why   string    // in a few words, when there is nothing to look at
	at    time.Time // when it happened; zero if it does not say
}

// An envelope is what all events have, as far as it is used. What else is in it is
// let pass: AWS adds members.
type envelope struct {
	Type   string          `json:"detail-type"`
	Source string          `json:"source"`
	Time   string          `json:"time"`
	Detail json.RawMessage `json:"detail"`
}

// A taskDetail is that of an ECS Task State Change.
type taskDetail struct {
	TaskARN       string `json:"taskArn"`
	ClusterARN    string `json:"clusterArn"`
	DesiredStatus string `json:"desiredStatus"`
	Attachments   []struct {
		Type    string `json:"type"`
		Details []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"details"`
	} `json:"attachments"`
}

// An instanceDetail is that of an EC2 Instance State-change Notification.
type instanceDetail struct {
	InstanceID string `json:"instance-id"`
}

// parseEvent reads an event. Any bytes give one, or an error of at most a few
// hundred bytes.
func parseEvent(data []byte) (event, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return event{}, fmt.Errorf("the event is not one of EventBridge: %w", bounded(err))
	}
	var parsed event
	var err error
	switch {
	case e.Source == "aws.events", e.Source == "aws.scheduler", e.Type == "Scheduled Event":
		parsed.whole = true
	case e.Type == "ECS Task State Change":
		parsed, err = taskEvent(e.Detail)
	case e.Type == "EC2 Instance State-change Notification":
		parsed, err = instanceEvent(e.Detail)
	default:
		err = errors.New("want ECS Task State Change, EC2 Instance State-change Notification or Scheduled Event; correct the rule that sends it")
	}
	if err != nil {
		return event{}, fmt.Errorf("event of detail-type %.64q from source %.64q: %w", e.Type, e.Source, err)
	}
	parsed.at, _ = time.Parse(time.RFC3339, e.Time) // without it there is no latency to tell
	return parsed, nil
}

func taskEvent(detail []byte) (event, error) {
	var d taskDetail
	if err := json.Unmarshal(detail, &d); err != nil {
		return event{}, fmt.Errorf("detail: %w", bounded(err))
	}
	switch {
	case !isARN(d.TaskARN, "task/"):
		return event{}, fmt.Errorf("detail.taskArn: want a task's ARN, not %.64q", d.TaskARN)
	case !isARN(d.ClusterARN, "cluster/"):
		return event{}, fmt.Errorf("detail.clusterArn: want a cluster's ARN, not %.64q", d.ClusterARN)
	case d.DesiredStatus == "RUNNING" && !d.hasInterface():
		return event{why: "the task has no interface of its own yet"}, nil
	}
	return event{hints: []mirror.Hint{{ClusterARN: d.ClusterARN, TaskARN: d.TaskARN}}}, nil
}

// hasInterface reports whether the event names the task's interface: the first ones
// of a task may not, and tasks of other network modes never do.
func (d *taskDetail) hasInterface() bool {
	for _, a := range d.Attachments {
		if a.Type != "eni" {
			continue
		}
		for _, detail := range a.Details {
			if detail.Name == "networkInterfaceId" && detail.Value != "" {
				return true
			}
		}
	}
	return false
}

func instanceEvent(detail []byte) (event, error) {
	var d instanceDetail
	if err := json.Unmarshal(detail, &d); err != nil {
		return event{}, fmt.Errorf("detail: %w", bounded(err))
	}
	if !strings.HasPrefix(d.InstanceID, "i-") || len(d.InstanceID) > maxName {
		return event{}, fmt.Errorf("detail.instance-id: want an instance's id, not %.64q", d.InstanceID)
	}
	return event{hints: []mirror.Hint{{InstanceID: d.InstanceID}}}, nil
}

// maxName bounds a name that an event gives and a request takes on, in bytes. The
// longest of AWS are ARNs of two names of 255 characters each.
const maxName = 1024

// isARN reports whether a text may be the ARN of an ECS resource of a kind.
func isARN(text, kind string) bool {
	parts := strings.SplitN(text, ":", 6)
	return len(text) <= maxName && len(parts) == 6 && parts[0] == "arn" && parts[2] == "ecs" && strings.HasPrefix(parts[5], kind)
}

// bounded keeps an error that may quote what it is about short.
func bounded(err error) error {
	const most = 200
	text := err.Error()
	if len(text) <= most {
		return err
	}
	return errors.New(strings.ToValidUTF8(text[:most], "") + "…")
}
