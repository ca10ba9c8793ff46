package record

import (
	"strings"

	"github.com/periscope-collector/periscope/packet"
)

// What the session file says of an interface. "" means that it does not.

func accountID(s *packet.Session) string {
	if s.Workload.AccountID == "" {
		return "unknown" // as flow logs do where AWS does not know the owner
	}
	return s.Workload.AccountID
}

func interfaceID(s *packet.Session) string { return s.Workload.InterfaceID }
func vpcID(s *packet.Session) string       { return s.Workload.VPCID }
func subnetID(s *packet.Session) string    { return s.Workload.SubnetID }
func instanceID(s *packet.Session) string  { return s.Workload.InstanceID }
func region(s *packet.Session) string      { return s.Workload.Region }
func azID(s *packet.Session) string        { return s.Workload.AZID }

func clusterARN(s *packet.Session) string           { return s.Workload.ClusterARN }
func serviceName(s *packet.Session) string          { return s.Workload.Service }
func taskDefinitionARN(s *packet.Session) string    { return s.Workload.TaskDefinitionARN }
func taskARN(s *packet.Session) string              { return s.Workload.TaskARN }
func taskID(s *packet.Session) string               { return resourceID(s.Workload.TaskARN) }
func containerInstanceARN(s *packet.Session) string { return s.Workload.ContainerInstARN }
func containerInstanceID(s *packet.Session) string  { return resourceID(s.Workload.ContainerInstARN) }
func firstContainer(s *packet.Session) string       { return container(s, 0) }
func secondContainer(s *packet.Session) string      { return container(s, 1) }

func clusterName(s *packet.Session) string {
	if s.Workload.Cluster != "" {
		return s.Workload.Cluster
	}
	return resourceID(s.Workload.ClusterARN)
}

func container(s *packet.Session, i int) string {
	if i < len(s.Workload.ContainerIDs) {
		return s.Workload.ContainerIDs[i]
	}
	return ""
}

// resourceID returns what follows the last slash of an ARN, with and without
// the name of the cluster before it (Amazon ECS Developer Guide, "Amazon
// Resource Names (ARNs) and IDs").
func resourceID(arn string) string {
	if i := strings.LastIndexByte(arn, '/'); i >= 0 {
		return arn[i+1:]
	}
	return ""
}
