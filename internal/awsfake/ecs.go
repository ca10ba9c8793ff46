package awsfake

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
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

// A failure is what a Describe says of a name that names nothing.
type failure struct {
	ARN    string `json:"arn"`
	Reason string `json:"reason"`
}

// A paging is what all Lists take.
type paging struct {
	MaxResults *int
	NextToken  string
}

// of returns the page of the ARNs, sorted, and the token of the next, or "".
func (p *paging) of(arns []string, size int) (page []string, token string, err error) {
	if p.MaxResults != nil {
		if size = *p.MaxResults; size < 1 || size > 100 {
			return nil, "", refuse("InvalidParameterException", "maxResults must be between 1 and 100")
		}
	}
	after, err := base64.StdEncoding.DecodeString(p.NextToken)
	if err != nil {
		return nil, "", refuse("InvalidParameterException", "Invalid token")
	}
	from, found := slices.BinarySearch(arns, string(after))
	if found {
		from++
	}
	page = arns[from:]
	if len(page) > size {
		page = page[:size]
		token = base64.StdEncoding.EncodeToString([]byte(page[size-1]))
	}
	return append([]string{}, page...), token, nil
}

func (c *call) arn(kind string, names ...string) string {
	return fmt.Sprintf("arn:aws:ecs:%s:%s:%s/%s", c.region, c.account, kind, strings.Join(names, "/"))
}

// named returns the ARN of what has the name, or the name if it is an ARN.
func (c *call) named(kind, name string, within ...string) string {
	if strings.HasPrefix(name, "arn:") {
		return name
	}
	return c.arn(kind, append(within, name)...)
}

// cluster returns the cluster of the name or ARN, of which "" is "default".
func (c *call) cluster(name string) (*Cluster, error) {
	if found := c.Clusters[c.named("cluster", cmp.Or(name, "default"))]; found != nil {
		return found, nil
	}
	return nil, refuse("ClusterNotFoundException", "Cluster not found.")
}

type listClustersIn struct{ paging }

type listClustersOut struct {
	ARNs []string `json:"clusterArns"`
	Next string   `json:"nextToken,omitempty"`
}

func listClusters(c *call, in *listClustersIn) (any, error) {
	page, next, err := in.of(slices.Sorted(maps.Keys(c.Clusters)), 100)
	return listClustersOut{page, next}, err
}

type describeClustersIn struct{ Clusters, Include []string }

// A clusterCount is a cluster with what is in it.
type clusterCount struct {
	*Cluster
	Services int   `json:"activeServicesCount"`
	Running  int   `json:"runningTasksCount"`
	Pending  int   `json:"pendingTasksCount"`
	Tags     []Tag `json:"tags,omitempty"`
}

type describeClustersOut struct {
	Clusters []clusterCount `json:"clusters"`
	Failures []failure      `json:"failures"`
}

func describeClusters(c *call, in *describeClustersIn) (any, error) {
	if len(in.Clusters) > 100 {
		return nil, refuse("InvalidParameterException", "Clusters can be at most 100")
	}
	if len(in.Clusters) == 0 {
		in.Clusters = []string{"default"}
	}
	out := describeClustersOut{[]clusterCount{}, []failure{}}
	for _, name := range in.Clusters {
		found, err := c.cluster(name)
		if err != nil {
			out.Failures = append(out.Failures, failure{c.named("cluster", name), "MISSING"})
			continue
		}
		count := clusterCount{Cluster: found, Tags: asked(in.Include, found.Tags)}
		for _, s := range c.Services {
			if s.ClusterARN == found.ARN {
				count.Services++
			}
		}
		count.Running, count.Pending = c.count(func(t *Task) bool { return t.ClusterARN == found.ARN })
		out.Clusters = append(out.Clusters, count)
	}
	return out, nil
}

// count returns how many of the tasks run, and are to run.
func (c *call) count(of func(*Task) bool) (running, pending int) {
	for _, t := range c.Tasks {
		if !of(t) || t.DesiredStatus != "RUNNING" {
			continue
		}
		if t.LastStatus == "RUNNING" {
			running++
		} else {
			pending++
		}
	}
	return running, pending
}

// asked returns the tags if the request includes them.
func asked(include []string, tags []Tag) []Tag {
	if slices.Contains(include, "TAGS") {
		return append([]Tag{}, tags...)
	}
	return nil
}

type listServicesIn struct {
	paging
	Cluster, LaunchType string
}

type listServicesOut struct {
	ARNs []string `json:"serviceArns"`
	Next string   `json:"nextToken,omitempty"`
}

func listServices(c *call, in *listServicesIn) (any, error) {
	cluster, err := c.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	var arns []string
	for arn, s := range c.Services {
		if s.ClusterARN == cluster.ARN && (in.LaunchType == "" || in.LaunchType == s.LaunchType) {
			arns = append(arns, arn)
		}
	}
	slices.Sort(arns)
	page, next, err := in.of(arns, 10)
	return listServicesOut{page, next}, err
}

type describeServicesIn struct {
	Cluster           string
	Services, Include []string
}

// A serviceCount is a service with its tasks.
type serviceCount struct {
	*Service
	Running int   `json:"runningCount"`
	Pending int   `json:"pendingCount"`
	Tags    []Tag `json:"tags,omitempty"`
}

type describeServicesOut struct {
	Services []serviceCount `json:"services"`
	Failures []failure      `json:"failures"`
}

func describeServices(c *call, in *describeServicesIn) (any, error) {
	cluster, err := c.cluster(in.Cluster)
	if err != nil {
		return nil, err
	}
	if len(in.Services) == 0 || len(in.Services) > 10 {
		return nil, refuse("InvalidParameterException", "Services can be 1 to 10")
	}
	out := describeServicesOut{[]serviceCount{}, []failure{}}
	for _, name := range in.Services {
		arn := c.named("service", name, cluster.Name)
		found := c.Services[arn]
		if found == nil || found.ClusterARN != cluster.ARN {
			out.Failures = append(out.Failures, failure{arn, "MISSING"})
			continue
		}
		count := serviceCount{Service: found, Tags: asked(in.Include, found.Tags)}
		count.Running, count.Pending = c.count(func(t *Task) bool {
			return t.ClusterARN == cluster.ARN && t.Group == "service:"+found.Name
		})
		out.Services = append(out.Services, count)
	}
	return out, nil
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
		arn := c.named("task", name, cluster.Name)
		found := c.Tasks[arn]
		if found == nil || found.ClusterARN != cluster.ARN {
			out.Failures = append(out.Failures, failure{arn, "MISSING"})
			continue
		}
		t := *found
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
