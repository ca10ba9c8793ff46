package awsfake

import (
	"strconv"
	"time"
)

// A Cluster is an ECS cluster. Its values, and those below, are on the wire as
// they are kept.
type Cluster struct {
	ARN    string `json:"clusterArn"`
	Name   string `json:"clusterName"`
	Status string `json:"status"`
	Tags   []Tag  `json:"tags,omitempty"`
}

// A Service keeps tasks running.
type Service struct {
	ARN            string  `json:"serviceArn"`
	Name           string  `json:"serviceName"`
	ClusterARN     string  `json:"clusterArn"`
	Status         string  `json:"status"`
	DesiredCount   int     `json:"desiredCount"`
	LaunchType     string  `json:"launchType"`
	TaskDefinition string  `json:"taskDefinition"` // ARN
	Created        Seconds `json:"createdAt"`
	Tags           []Tag   `json:"tags,omitempty"`
}

// A TaskDefinition is one revision of a family.
type TaskDefinition struct {
	ARN         string                `json:"taskDefinitionArn"`
	Family      string                `json:"family"`
	Revision    int                   `json:"revision"`
	Status      string                `json:"status"`
	NetworkMode string                `json:"networkMode"`
	CPU         string                `json:"cpu"`
	Memory      string                `json:"memory"`
	Containers  []ContainerDefinition `json:"containerDefinitions"`
	Tags        []Tag                 `json:"tags,omitempty"` // told beside the definition, where asked for
}

// A ContainerDefinition is one container of a task definition.
type ContainerDefinition struct {
	Name      string `json:"name"`
	Image     string `json:"image"`
	Essential bool   `json:"essential"`
}

// A Task is a task, and a stopped one until an hour after.
type Task struct {
	ARN                  string           `json:"taskArn"`
	ClusterARN           string           `json:"clusterArn"`
	TaskDefinitionARN    string           `json:"taskDefinitionArn"`
	ContainerInstanceARN string           `json:"containerInstanceArn,omitempty"`
	Group                string           `json:"group"` // service:NAME or family:NAME
	StartedBy            string           `json:"startedBy,omitempty"`
	LaunchType           string           `json:"launchType"`
	PlatformVersion      string           `json:"platformVersion,omitempty"`
	Zone                 string           `json:"availabilityZone"`
	DesiredStatus        string           `json:"desiredStatus"` // RUNNING or STOPPED
	LastStatus           string           `json:"lastStatus"`
	CPU                  string           `json:"cpu"`
	Memory               string           `json:"memory"`
	Version              int64            `json:"version"`
	Created              Seconds          `json:"createdAt"`
	Started              Seconds          `json:"startedAt,omitzero"`
	Stopping             Seconds          `json:"stoppingAt,omitzero"`
	Stopped              Seconds          `json:"stoppedAt,omitzero"`
	StopCode             string           `json:"stopCode,omitempty"`
	StoppedReason        string           `json:"stoppedReason,omitempty"`
	Attachments          []TaskAttachment `json:"attachments"`
	Containers           []Container      `json:"containers"`
	Tags                 []Tag            `json:"tags,omitempty"` // told where asked for
}

// A TaskAttachment is what a task has its interface by.
type TaskAttachment struct {
	ID      string   `json:"id"`
	Type    string   `json:"type"` // ElasticNetworkInterface
	Status  string   `json:"status"`
	Details []Detail `json:"details"`
}

// A Detail is one property of an attachment: subnetId, networkInterfaceId,
// macAddress, privateDnsName, privateIPv4Address.
type Detail struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A Container is one container of a task.
type Container struct {
	ARN        string             `json:"containerArn"`
	TaskARN    string             `json:"taskArn"`
	Name       string             `json:"name"`
	Image      string             `json:"image"`
	RuntimeID  string             `json:"runtimeId,omitempty"` // from its start on
	LastStatus string             `json:"lastStatus"`
	Interfaces []ContainerNetwork `json:"networkInterfaces"`
}

// A ContainerNetwork is a container's side of its task's interface.
type ContainerNetwork struct {
	AttachmentID string `json:"attachmentId"`
	Address      string `json:"privateIpv4Address"`
}

// Interface returns the id of the task's interface, or "".
func (t *Task) Interface() string {
	for _, a := range t.Attachments {
		for _, d := range a.Details {
			if d.Name == "networkInterfaceId" {
				return d.Value
			}
		}
	}
	return ""
}

// Seconds is a time as JSON 1.1 has it: seconds since 1970 with a fraction, in
// milliseconds.
type Seconds struct{ time.Time }

// MarshalJSON writes a number.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(s.UnixMilli())/1000, 'f', 3, 64), nil
}

// UnmarshalJSON reads a number.
func (s *Seconds) UnmarshalJSON(data []byte) error {
	seconds, err := strconv.ParseFloat(string(data), 64)
	if err != nil {
		return err
	}
	s.Time = time.UnixMilli(int64(seconds*1000 + 0.5)).UTC()
	return nil
}
