package awsfake

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// stoppedFor is how long a stopped task can still be described.
const stoppedFor = time.Hour

// age forgets the tasks that stopped long ago.
func (c *call) age() {
	for arn, t := range c.Tasks {
		if !t.Stopped.IsZero() && c.now.Sub(t.Stopped.Time) >= stoppedFor {
			delete(c.Tasks, arn)
		}
	}
}

type listTasksIn struct {
	paging
	Cluster, ContainerInstance, DesiredStatus, Family, LaunchType, ServiceName, StartedBy string
}

type listTasksOut struct {
	ARNs []string `json:"taskArns"`
	Next string   `json:"nextToken,omitempty"`
}

func listTasks(c *call, in *listTasksIn) (any, error) {
	cluster, err := c.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	service := ""
	if in.ServiceName != "" {
		found := c.Services[c.named("service", in.ServiceName, cluster.Name)]
		if found == nil {
			return nil, refuse("ServiceNotFoundException", "Service not found.")
		}
		service = "service:" + found.Name
	}
	status := cmp.Or(in.DesiredStatus, "RUNNING")
	if !slices.Contains([]string{"RUNNING", "PENDING", "STOPPED"}, status) {
		return nil, refuse("InvalidParameterException", "Invalid status %s", status)
	}
	var arns []string
	for arn, t := range c.Tasks {
		definition := t.TaskDefinitionARN[strings.LastIndexByte(t.TaskDefinitionARN, '/')+1:]
		family, _, _ := strings.Cut(definition, ":")
		if t.ClusterARN == cluster.ARN && t.DesiredStatus == status &&
			either(in.Family, family) && either(service, t.Group) && either(in.StartedBy, t.StartedBy) &&
			either(in.LaunchType, t.LaunchType) && either(in.ContainerInstance, t.ContainerInstanceARN) {
			arns = append(arns, arn)
		}
	}
	slices.Sort(arns)
	page, next, err := in.of(arns, 100)
	return listTasksOut{page, next}, err
}

// either reports whether nothing is wanted, or it is what there is.
func either(wanted, is string) bool { return wanted == "" || wanted == is }

type describeTasksIn struct {
	Cluster        string
	Tasks, Include []string
}

type describeTasksOut struct {
	Tasks    []Task    `json:"tasks"`
	Failures []failure `json:"failures"`
}

func describeTasks(c *call, in *describeTasksIn) (any, error) {
	cluster, err := c.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	if len(in.Tasks) == 0 || len(in.Tasks) > 100 {
		return nil, refuse("InvalidParameterException", "Tasks can be 1 to 100")
	}
	out := describeTasksOut{[]Task{}, []failure{}}
	for _, name := range in.Tasks {
		if n := len(name) - 1 - strings.LastIndexByte(name, '/'); n != 32 && n != 36 {
			return nil, refuse("InvalidParameterException", "taskId length should be one of [32,36]")
		}
		arn := c.named("task", name, cluster.Name)
		found := c.Tasks[arn]
		if found == nil || found.ClusterARN != cluster.ARN {
			out.Failures = append(out.Failures, failure{arn, "MISSING"})
			continue
		}
		t := told(found)
		t.Tags = asked(in.Include, t.Tags)
		out.Tasks = append(out.Tasks, t)
	}
	return out, nil
}

type describeTaskDefinitionIn struct {
	TaskDefinition string
	Include        []string
}

type describeTaskDefinitionOut struct {
	Definition TaskDefinition `json:"taskDefinition"`
	Tags       []Tag          `json:"tags,omitempty"`
}

// describeTaskDefinition takes an ARN, family:revision, or a family, which is
// its newest revision.
func describeTaskDefinition(c *call, in *describeTaskDefinitionIn) (any, error) {
	found := c.TaskDefinitions[c.named("task-definition", in.TaskDefinition)]
	for _, d := range c.TaskDefinitions {
		if d.Family == in.TaskDefinition && (found == nil || d.Revision > found.Revision) {
			found = d
		}
	}
	if found == nil {
		return nil, refuse("ClientException", "Unable to describe task definition.")
	}
	out := describeTaskDefinitionOut{*found, asked(in.Include, found.Tags)}
	out.Definition.Tags = nil
	return out, nil
}
