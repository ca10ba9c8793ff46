package discovery

import (
	"context"

	"github.com/periscope-collector/periscope/filter"
	"github.com/periscope-collector/periscope/internal/awsapi"
)

// A client asks about one account in one region.
type client interface {
	RoleARN() string
	Region() string
	Identity(ctx context.Context) (string, error)
	Sessions(ctx context.Context) ([]awsapi.MirrorSession, error)
	Filters(ctx context.Context) ([]filter.Filter, error)
	Targets(ctx context.Context) ([]awsapi.Target, error)
	Interfaces(ctx context.Context, ids []string) ([]awsapi.Interface, error)
	Instances(ctx context.Context, ids []string) ([]awsapi.Instance, error)
	VPCs(ctx context.Context, ids []string) ([]awsapi.VPC, error)
	Subnets(ctx context.Context, ids []string) ([]awsapi.Subnet, error)
	Clusters(ctx context.Context) ([]string, error)
	TaskARNs(ctx context.Context, cluster string, stopped bool) ([]string, error)
	Tasks(ctx context.Context, cluster string, arns []string) ([]awsapi.Task, error)
	Calls() map[string]uint64
	Close()
}

var _ client = (*awsapi.Client)(nil)
