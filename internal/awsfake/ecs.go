package awsfake

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

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
