package cloud

import (
	"regexp"

	"github.com/periscope-collector/periscope/mirror"
)

// ecsARN is the ARN of a cluster or a task, with region, account and kind. Tasks of
// before 2018 have no cluster in it.
var ecsARN = regexp.MustCompile(`^arn:aws[a-z-]*:ecs:([a-z0-9-]+):([0-9]{12}):(cluster|task)/[A-Za-z0-9_-]{1,255}(?:/[A-Za-z0-9-]{1,255})?$`)

// The id of a task and the name of a cluster, as ECS takes them.
var (
	taskID      = regexp.MustCompile(`^(?:[0-9a-f]{32}|[0-9a-f-]{36})$`)
	clusterName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
)

// sort returns the tasks of hints by cluster, each once, and their instances. Those
// of other accounts and regions, and what is no ARN, are left out: of a list with
// one of them ECS describes none.
func (c *Cloud) sort(hints []mirror.Hint, account string) (tasks map[string][]string, instances []string) {
	tasks = make(map[string][]string)
	seen := make(map[string]bool, len(hints))
	for _, h := range hints {
		if id := h.InstanceID; id != "" && !seen[id] {
			seen[id] = true
			instances = append(instances, id)
		}
		switch {
		case h.TaskARN == "" || seen[h.TaskARN]:
		case !c.here(h.ClusterARN, "cluster", account) || !c.here(h.TaskARN, "task", account):
			c.log.Warn("a hint is passed over: it is not of a task in this account and region",
				"task", h.TaskARN, "cluster", h.ClusterARN, "account", account, "region", c.Region())
		default:
			seen[h.TaskARN] = true
			tasks[h.ClusterARN] = append(tasks[h.ClusterARN], h.TaskARN)
		}
	}
	return tasks, instances
}

func (c *Cloud) here(arn, kind, account string) bool {
	of := ecsARN.FindStringSubmatch(arn)
	return of != nil && of[1] == c.Region() && of[2] == account && of[3] == kind
}
