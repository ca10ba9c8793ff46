package awsapi

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Limits of ECS: items of a page, and tasks described at once.
const (
	ecsPage      = 100
	tasksAtATime = 100
)

// A Task is an ECS task, running or stopped within the last hour or so.
type Task struct {
	ARN, ClusterARN      string // never empty
	Service              string // "" for a task of no service
	TaskDefinitionARN    string
	ContainerInstanceARN string // "" on Fargate
	InterfaceID          string // "" as long as it has none, and without awsvpc
	AttachmentID         string // that its interface's description names
	Attached             Attached
	LastStatus           string
	DesiredStatus        string    // RUNNING or STOPPED
	Version              int64     // grows with every change
	ContainerIDs         []string  // of the container runtime, of those that have one
	Created, Stopped     time.Time // zero if unknown, or not stopped
	Tags                 map[string]string
}

// An Attached is what a task says of its interface, which it does before EC2
// lists that. Each is zero as long as it is not known.
type Attached struct {
	SubnetID string
	MAC      [6]byte
	Address  netip.Addr // IPv4
}

// Clusters returns the ARNs of the region's ECS clusters.
func (c *Client) Clusters(ctx context.Context) ([]string, error) {
	return list(ctx, c, "ListClusters", text, func(ctx context.Context, s *sdk, token *string) ([]string, *string, error) {
		out, err := s.ecs.ListClusters(ctx, &ecs.ListClustersInput{MaxResults: aws.Int32(ecsPage), NextToken: token})
		if err != nil {
			return nil, nil, err
		}
		return out.ClusterArns, out.NextToken, nil
	})
}

// TaskARNs returns the ARNs of the tasks of a cluster, given by name or ARN: those
// that are to run, or those that are to stop or have stopped, which ECS shows for
// an hour or so.
func (c *Client) TaskARNs(ctx context.Context, cluster string, stopped bool) ([]string, error) {
	status := types.DesiredStatusRunning
	if stopped {
		status = types.DesiredStatusStopped
	}
	return list(ctx, c, "ListTasks", text, func(ctx context.Context, s *sdk, token *string) ([]string, *string, error) {
		out, err := s.ecs.ListTasks(ctx, &ecs.ListTasksInput{
			Cluster: &cluster, DesiredStatus: status, MaxResults: aws.Int32(ecsPage), NextToken: token,
		})
		if err != nil {
			return nil, nil, err
		}
		return out.TaskArns, out.NextToken, nil
	})
}

// Tasks returns the tasks with the given ARNs, less those that ECS does not know
// any more.
func (c *Client) Tasks(ctx context.Context, cluster string, arns []string) ([]Task, error) {
	return inBatches(arns, tasksAtATime, func(batch []string) ([]Task, error) {
		return list(ctx, c, "DescribeTasks", task, func(ctx context.Context, s *sdk, _ *string) ([]types.Task, *string, error) {
			out, err := s.ecs.DescribeTasks(ctx, &ecs.DescribeTasksInput{
				Cluster: &cluster, Tasks: batch, Include: []types.TaskField{types.TaskFieldTags},
			})
			if err != nil {
				return nil, nil, err
			}
			for _, f := range out.Failures {
				if reason := aws.ToString(f.Reason); reason != "MISSING" {
					return nil, nil, fmt.Errorf("ecs does not describe task %s: %s", aws.ToString(f.Arn), reason)
				}
			}
			return out.Tasks, nil, nil
		})
	})
}

func text(s *string) (string, bool) { return *s, *s != "" }

func task(from *types.Task) (Task, bool) {
	t := Task{
		ARN:                  aws.ToString(from.TaskArn),
		ClusterARN:           aws.ToString(from.ClusterArn),
		TaskDefinitionARN:    aws.ToString(from.TaskDefinitionArn),
		ContainerInstanceARN: aws.ToString(from.ContainerInstanceArn),
		LastStatus:           aws.ToString(from.LastStatus),
		DesiredStatus:        aws.ToString(from.DesiredStatus),
		Version:              from.Version,
	}
	if service, ok := strings.CutPrefix(aws.ToString(from.Group), "service:"); ok {
		t.Service = service
	}
	for _, a := range from.Attachments {
		if t.InterfaceID == "" && aws.ToString(a.Type) == "ElasticNetworkInterface" {
			t.InterfaceID, t.AttachmentID = detail(a.Details, "networkInterfaceId"), aws.ToString(a.Id)
			t.Attached = attached(a.Details)
		}
	}
	for _, container := range from.Containers {
		if id := aws.ToString(container.RuntimeId); id != "" {
			t.ContainerIDs = append(t.ContainerIDs, id)
		}
	}
	t.Tags = tags(from.Tags, func(tag *types.Tag) (key, value *string) { return tag.Key, tag.Value })
	var created, stopped bool
	t.Created, created = instant(from.CreatedAt)
	t.Stopped, stopped = instant(from.StoppedAt)
	return t, t.ARN != "" && t.ClusterARN != "" && created && stopped
}

// attached leaves zero what cannot be read.
func attached(details []types.KeyValuePair) Attached {
	a := Attached{SubnetID: detail(details, "subnetId")}
	a.MAC, _ = mac(aws.String(detail(details, "macAddress")))
	if address, err := netip.ParseAddr(detail(details, "privateIPv4Address")); err == nil && address.Is4() {
		a.Address = address
	}
	return a
}

func detail(details []types.KeyValuePair, name string) string {
	for _, d := range details {
		if aws.ToString(d.Name) == name {
			return aws.ToString(d.Value)
		}
	}
	return ""
}
