package awsfake

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
)

// TaskMetadata serves what a container of a task gets of the task metadata
// endpoint, version 4, at any path that ends in /task. mac, unless empty, is that
// of the task's interface in place of the attachment's; subnet is where it is.
//
// Containers are in it once they have an id. It names the service, which ECS on
// Fargate need not.
func TaskMetadata(t Task, mac string, subnet netip.Prefix) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/task") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(newTaskDocument(&t, mac, subnet)) // the client may have left
	})
}

// A taskDocument is the task as the endpoint describes it (Task metadata version
// 4, JSON response).
type taskDocument struct {
	Cluster          string
	TaskARN          string
	Family, Revision string
	ServiceName      string `json:",omitempty"`
	DesiredStatus    string
	KnownStatus      string
	LaunchType       string
	AvailabilityZone string
	Containers       []containerDocument
}

type containerDocument struct {
	ID          string `json:"DockerId"`
	Name        string
	Image       string
	KnownStatus string
	Labels      map[string]string
	Networks    []networkDocument
}

type networkDocument struct {
	NetworkMode         string
	IPv4Addresses       []string
	AttachmentIndex     int
	MACAddress          string
	IPv4SubnetCIDRBlock string
	DomainNameServers   []string
}

func newTaskDocument(t *Task, mac string, subnet netip.Prefix) *taskDocument {
	family, revision, _ := strings.Cut(t.TaskDefinitionARN[strings.LastIndexByte(t.TaskDefinitionARN, '/')+1:], ":")
	service, ok := strings.CutPrefix(t.Group, "service:")
	if !ok {
		service = ""
	}
	n := networkDocument{NetworkMode: "awsvpc", MACAddress: mac, IPv4SubnetCIDRBlock: subnet.Masked().String()}
	for _, a := range t.Attachments {
		for _, d := range a.Details {
			switch {
			case d.Name == "privateIPv4Address":
				n.IPv4Addresses = []string{d.Value}
			case d.Name == "macAddress" && mac == "":
				n.MACAddress = d.Value
			}
		}
	}
	doc := &taskDocument{
		Cluster: t.ClusterARN, TaskARN: t.ARN, Family: family, Revision: revision, ServiceName: service,
		DesiredStatus: t.DesiredStatus, KnownStatus: t.LastStatus, LaunchType: t.LaunchType, AvailabilityZone: t.Zone,
		Containers: []containerDocument{},
	}
	for _, c := range t.Containers {
		if c.RuntimeID != "" {
			doc.Containers = append(doc.Containers, containerDocument{
				ID: c.RuntimeID, Name: c.Name, Image: c.Image, KnownStatus: c.LastStatus, Networks: []networkDocument{n},
				Labels: map[string]string{"com.amazonaws.ecs.task-arn": t.ARN},
			})
		}
	}
	return doc
}
