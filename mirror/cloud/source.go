package cloud

import (
	"maps"
	"slices"
	"strings"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/mirror"
)

// groupTag is the tag of an instance that names its group.
const groupTag = "aws:autoscaling:groupName"

// ended are the last statuses of a task whose interface goes, or is gone.
var ended = map[string]bool{
	"DEPROVISIONING": true,
	"STOPPED":        true,
	"DELETED":        true,
}

// stops reports whether a task is to stop, or has begun to. Until it has ended it
// sends what it still has to say, as while a load balancer lets go of it.
func stops(t *awsapi.Task) bool {
	return t.DesiredStatus != "RUNNING" || t.LastStatus == "DEACTIVATING" || t.LastStatus == "STOPPING" || ended[t.LastStatus]
}

// finish makes sources of what was found.
func (l *look) finish() {
	for id, t := range l.state.Targets {
		if face := l.faces[t.InterfaceID]; face != nil {
			t.AZID = face.AZID
			l.state.Targets[id] = t
		}
	}
	seen := make(map[string]bool, len(l.tasks))
	for i := range l.tasks {
		if t := &l.tasks[i]; !seen[t.InterfaceID] {
			seen[t.InterfaceID] = true
			l.state.Sources = append(l.state.Sources, ofTask(t, l.faces[t.InterfaceID]))
		}
	}
	if !l.cloud.instances {
		return
	}
	targets := make(map[string]bool)
	for _, t := range l.state.Targets {
		targets[t.InterfaceID] = true
	}
	for _, id := range slices.Sorted(maps.Keys(l.faces)) {
		if face := l.faces[id]; !seen[id] && !targets[id] && !ofECS(face) {
			l.own(face)
		}
	}
}

// own notes an interface that is not a task's. That of an instance is a source as
// long as the instance runs; what has none is a managed service's.
func (l *look) own(face *awsapi.Interface) {
	instance := l.instances[face.InstanceID]
	if face.InstanceID != "" && instance == nil {
		if !l.state.Whole { // else what is no source is gone, unless lists are late
			l.end(face.ID)
		}
		return
	}
	s := ofInterface(face)
	if instance != nil {
		s.Instance = &mirror.Instance{ID: instance.ID, Name: instance.Name, Group: instance.Tags[groupTag], Tags: instance.Tags}
	}
	l.state.Sources = append(l.state.Sources, s)
}

// ofECS reports whether ECS made an interface for a task: its description is then
// the ARN of the attachment.
func ofECS(face *awsapi.Interface) bool {
	return strings.HasPrefix(face.Description, "arn:") && strings.Contains(face.Description, ":attachment/")
}

func ofInterface(face *awsapi.Interface) mirror.Source {
	return mirror.Source{
		InterfaceID: face.ID, Type: face.Type, VPCID: face.VPCID, SubnetID: face.SubnetID, AZID: face.AZID,
		MAC: face.MAC, Address: face.Primary, Tags: face.Tags,
	}
}

// ofTask returns a task's interface. While EC2 does not list it, face is nil and it
// is what the task says of it. Then it is of type interface on Fargate, where it
// cannot be another, and of none else.
func ofTask(t *awsapi.Task, face *awsapi.Interface) mirror.Source {
	var s mirror.Source
	if face != nil {
		s = ofInterface(face)
	} else {
		s = mirror.Source{InterfaceID: t.InterfaceID, SubnetID: t.Attached.SubnetID, MAC: t.Attached.MAC, Address: t.Attached.Address}
		if t.ContainerInstanceARN == "" {
			s.Type = "interface"
		}
	}
	family, _, _ := strings.Cut(last(t.TaskDefinitionARN), ":")
	s.Task = &mirror.Task{
		ARN: t.ARN, ClusterARN: t.ClusterARN, Cluster: last(t.ClusterARN), Service: t.Service, Family: family,
		TaskDefinitionARN: t.TaskDefinitionARN, ContainerInstance: t.ContainerInstanceARN, ContainerIDs: t.ContainerIDs,
		Status: t.LastStatus, Version: t.Version, Created: t.Created, Tags: t.Tags,
	}
	return s
}
