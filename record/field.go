package record

import (
	"slices"

	"github.com/periscope-collector/periscope/packet"
)

// A Field is a field of VPC Flow Logs (Amazon VPC User Guide, "Flow log
// records").
type Field struct {
	Name    string // AWS's, as in ${name}
	Version int    // of the format that brought it: 2 to 5, 7 to 11
	Parquet string // AWS's type of it in Parquet files: STRING, INT_32 or INT_64
	Meaning string // of its value

	// What neither packets nor the session file tell has neither of them, and
	// is always "-".
	session func(*packet.Session) string // of the interface; "" is not known
	flow    func(dst []byte, f *Fields, r *packet.Flow, side int) []byte
}

// FlowFields returns the fields of VPC Flow Logs in AWS's order. Those of
// version 6 are of Transit Gateway flow logs and not among them.
func FlowFields() []Field { return slices.Clone(flowFields) }

const unseen = "Always `-`: packets do not tell."

var flowFields = []Field{
	{"version", 2, "INT_32", "Highest version among the fields of the format, at least 2.", nil, appendVersion},
	{"account-id", 2, "STRING", "Account of the interface; `unknown` if the session file does not say.", accountID, nil},
	{"interface-id", 2, "STRING", "Mirrored interface.", interfaceID, nil},
	{"srcaddr", 2, "STRING", "Source; for egress the interface's address, see below.", nil, appendSrcAddr},
	{"dstaddr", 2, "STRING", "Destination; for ingress the interface's address, see below.", nil, appendDstAddr},
	{"srcport", 2, "INT_32", "Source port of TCP, UDP and SCTP; else 0.", nil, appendSrcPort},
	{"dstport", 2, "INT_32", "Destination port of TCP, UDP and SCTP; else 0.", nil, appendDstPort},
	{"protocol", 2, "INT_32", "IANA protocol number.", nil, appendProtocol},
	{"packets", 2, "INT_64", "Packets from source to destination.", nil, appendPackets},
	{"bytes", 2, "INT_64", "Sum of their IP total lengths.", nil, appendBytes},
	{"start", 2, "INT_64", "Unix seconds of the first of them; of a status line the interval's first second.", nil, appendStart},
	{"end", 2, "INT_64", "Unix seconds of the last of them; of a status line the interval's last second.", nil, appendEnd},
	{"action", 2, "STRING", "Always `ACCEPT`, see below.", nil, constant("ACCEPT")},
	{"log-status", 2, "STRING", "`OK`; of a status line `NODATA` or `SKIPDATA`.", nil, constant("OK")},

	{"vpc-id", 3, "STRING", "VPC of the interface.", vpcID, nil},
	{"subnet-id", 3, "STRING", "Subnet of the interface.", subnetID, nil},
	{"instance-id", 3, "STRING", "Instance of the interface.", instanceID, nil},
	{"tcp-flags", 3, "INT_32", "Sum of FIN 1, SYN 2, RST 4 and SYN-ACK 18, each at most once; see below.", nil, appendTCPFlags},
	{"type", 3, "STRING", "`IPv4` or `IPv6`.", nil, appendType},
	{"pkt-srcaddr", 3, "STRING", "Source address in the packets.", nil, appendPktSrcAddr},
	{"pkt-dstaddr", 3, "STRING", "Destination address in the packets.", nil, appendPktDstAddr},

	{"region", 4, "STRING", "Region of the interface.", region, nil},
	{"az-id", 4, "STRING", "Availability Zone of the interface, such as `euc1-az2`.", azID, nil},
	{"sublocation-type", 4, "STRING", unseen, nil, nil},
	{"sublocation-id", 4, "STRING", unseen, nil, nil},

	{"pkt-src-aws-service", 5, "STRING", "AWS service of pkt-srcaddr, with `flows.ip_ranges`.", nil, appendSrcService},
	{"pkt-dst-aws-service", 5, "STRING", "AWS service of pkt-dstaddr, with `flows.ip_ranges`.", nil, appendDstService},
	{"flow-direction", 5, "STRING", "`ingress` or `egress`, as the interface sees it.", nil, appendDirection},
	{"traffic-path", 5, "INT_32", "1 for egress to an address inside the session's `vpc_cidrs`, else `-`.", nil, appendTrafficPath},

	{"ecs-cluster-arn", 7, "STRING", "ECS cluster.", clusterARN, nil},
	{"ecs-cluster-name", 7, "STRING", "Its name; without one the last part of its ARN.", clusterName, nil},
	{"ecs-container-instance-arn", 7, "STRING", "Container instance of the task; `-` on Fargate.", containerInstanceARN, nil},
	{"ecs-container-instance-id", 7, "STRING", "Last part of its ARN.", containerInstanceID, nil},
	{"ecs-container-id", 7, "STRING", "Runtime ID of the task's first container.", firstContainer, nil},
	{"ecs-second-container-id", 7, "STRING", "Runtime ID of its second container.", secondContainer, nil},
	{"ecs-service-name", 7, "STRING", "Service that started the task.", serviceName, nil},
	{"ecs-task-definition-arn", 7, "STRING", "Task definition.", taskDefinitionARN, nil},
	{"ecs-task-arn", 7, "STRING", "Task.", taskARN, nil},
	{"ecs-task-id", 7, "STRING", "Last part of its ARN.", taskID, nil},

	{"reject-reason", 8, "STRING", "Always `-`: nothing rejected is seen.", nil, nil},
	{"resource-id", 9, "STRING", unseen, nil, nil},
	{"encryption-status", 10, "INT_32", unseen, nil, nil},

	{"instance-tag", 11, "STRING", unseen, nil, nil},
	{"instance-tag-2", 11, "STRING", unseen, nil, nil},
	{"interface-tag", 11, "STRING", unseen, nil, nil},
	{"interface-tag-2", 11, "STRING", unseen, nil, nil},
	{"asg-tag", 11, "STRING", unseen, nil, nil},
	{"asg-tag-2", 11, "STRING", unseen, nil, nil},
	{"interface-type", 11, "STRING", unseen, nil, nil},
	{"next-hop-interface-id", 11, "STRING", unseen, nil, nil},
	{"next-hop-subnet-id", 11, "STRING", unseen, nil, nil},
	{"next-hop-az-id", 11, "STRING", unseen, nil, nil},
	{"next-hop-vpc-id", 11, "STRING", unseen, nil, nil},
	{"next-hop-interface-type", 11, "STRING", unseen, nil, nil},
}

// transitGateway are the fields that only Transit Gateway flow logs have
// (version 6).
var transitGateway = []string{
	"resource-type", "tgw-id", "tgw-attachment-id", "tgw-src-vpc-account-id", "tgw-dst-vpc-account-id",
	"tgw-src-vpc-id", "tgw-dst-vpc-id", "tgw-src-subnet-id", "tgw-dst-subnet-id", "tgw-src-eni", "tgw-dst-eni",
	"tgw-src-az-id", "tgw-dst-az-id", "tgw-pair-attachment-id", "packets-lost-no-route", "packets-lost-blackhole",
	"packets-lost-mtu-exceeded", "packets-lost-ttl-expired",
}
