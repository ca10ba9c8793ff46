package awsfake

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Run says what task to run. The zero value of all but Account and Region
// will do: what it names and is not there is made.
type Run struct {
	Account, Region string
	Cluster         string     // "default"
	Service         string     // "": a task of its family, and of no service
	Family          string     // the service's name, or "task"
	Subnet          string     // an id; "": the first there is
	Address         netip.Addr // the lowest free one
	Status          string     // LastStatus; RUNNING
	Bare            bool       // until it has another status, ECS tells nothing of its interface but the subnet
	Containers      []string   // names; one, app
	Tags            []Tag
}

// RunTask starts a Fargate task, with an interface of its own.
func (f *Fake) RunTask(run Run) (Task, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.on(run.Account, run.Region)
	subnet, err := c.subnet(run.Subnet)
	if err != nil {
		return Task{}, err
	}
	card, err := c.attach(subnet, run.Address)
	if err != nil {
		return Task{}, err
	}
	id, attachment := c.hex(32), c.uuid()
	card.Description = c.arn("attachment", attachment)
	card.RequesterManaged, card.RequesterID = true, "578734482556"
	card.Attachment = &Attachment{
		ID: "ela-attach-" + c.hex(17), InstanceOwner: "086443710812", Device: 1, Status: "attached", Time: c.now,
	}
	cluster := c.needCluster(cmp.Or(run.Cluster, "default"))
	family := cmp.Or(run.Family, run.Service, "task")
	containers := run.Containers
	if containers == nil {
		containers = []string{"app"}
	}
	definition := c.needDefinition(family, containers)
	t := &Task{
		ARN: c.arn("task", cluster.Name, id), ClusterARN: cluster.ARN, TaskDefinitionARN: definition.ARN,
		Group: "family:" + family, LaunchType: "FARGATE", PlatformVersion: "1.4.0", Zone: subnet.Zone,
		DesiredStatus: "RUNNING", CPU: definition.CPU, Memory: definition.Memory, Created: Seconds{c.now}, Tags: run.Tags,
		Attachments: []TaskAttachment{{ID: attachment, Type: "ElasticNetworkInterface", Details: []Detail{
			{"subnetId", subnet.ID},
			{"networkInterfaceId", card.ID},
			{"macAddress", card.MAC},
			{"privateDnsName", "ip-" + strings.ReplaceAll(card.Address, ".", "-") + "." + c.region + ".compute.internal"},
			{"privateIPv4Address", card.Address},
		}}},
	}
	if run.Service != "" {
		t.Group, t.StartedBy = "service:"+run.Service, "ecs-svc/"+fmt.Sprint(f.state.Serial)
		c.needService(cluster, run.Service, definition)
	}
	for _, name := range containers {
		t.Containers = append(t.Containers, Container{
			ARN: c.arn("container", cluster.Name, id, c.uuid()), TaskARN: t.ARN, Name: name, Image: name,
			Interfaces: []ContainerNetwork{{attachment, card.Address}},
		})
	}
	c.move(t, cmp.Or(run.Status, "RUNNING"))
	if run.Bare {
		t.Attachments[0].Status = precreated
	}
	put(&c.Tasks, t.ARN, t)
	return *t, nil
}

// SetTask moves a task to a status: PROVISIONING, PENDING, ACTIVATING, RUNNING,
// DEACTIVATING, STOPPING, DEPROVISIONING, STOPPED. From DEPROVISIONING on it has
// no interface: that is deleted with its sessions, and its address free.
func (f *Fake) SetTask(arn, status string) (Task, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	parts := strings.Split(arn, ":")
	if len(parts) < 6 {
		return Task{}, fmt.Errorf("%q is no task's ARN", arn)
	}
	c := f.on(parts[4], parts[3])
	t := c.Tasks[arn]
	if t == nil {
		return Task{}, fmt.Errorf("there is no task %s", arn)
	}
	c.move(t, status)
	return *t, nil
}

// StopTask is SetTask to STOPPED.
func (f *Fake) StopTask(arn string) (Task, error) { return f.SetTask(arn, "STOPPED") }

// precreated is the status of an attachment whose interface is only planned.
const precreated = "PRECREATED"

// statuses are a task's, in order, each with its attachment's.
var statuses = []struct{ task, attachment string }{
	{"PROVISIONING", "ATTACHING"},
	{"PENDING", "ATTACHED"},
	{"ACTIVATING", "ATTACHED"},
	{"RUNNING", "ATTACHED"},
	{"DEACTIVATING", "ATTACHED"},
	{"STOPPING", "ATTACHED"},
	{"DEPROVISIONING", "DELETED"},
	{"STOPPED", "DELETED"},
}

// move gives a task a status and all that goes with it. A task's slices are
// replaced, not written to: copies of it are out.
func (c *call) move(t *Task, status string) {
	at := slices.IndexFunc(statuses, func(s struct{ task, attachment string }) bool { return s.task == status })
	if at < 0 {
		panic("no task has the status " + status)
	}
	t.LastStatus = status
	t.Version++
	t.Attachments = slices.Clone(t.Attachments)
	t.Attachments[0].Status = statuses[at].attachment
	t.Containers = slices.Clone(t.Containers)
	for i := range t.Containers {
		container := &t.Containers[i]
		switch {
		case at < 3:
			container.LastStatus = "PENDING"
		case at < 6:
			container.LastStatus = "RUNNING"
		default:
			container.LastStatus = "STOPPED"
		}
		if at >= 2 && container.RuntimeID == "" {
			container.RuntimeID = t.ARN[strings.LastIndexByte(t.ARN, '/')+1:] + "-" + fmt.Sprintf("%010d", c.serial())
		}
	}
	if at >= 3 && t.Started.IsZero() {
		t.Started = Seconds{c.now}
	}
	if at >= 4 && t.Stopping.IsZero() {
		t.Stopping, t.DesiredStatus = Seconds{c.now}, "STOPPED"
		t.StopCode, t.StoppedReason = "UserInitiated", "Task stopped by user"
	}
	if at >= 6 {
		c.detach(t.Interface())
	}
	if at == 7 && t.Stopped.IsZero() {
		t.Stopped = Seconds{c.now}
	}
}

func (c *call) needCluster(name string) *Cluster {
	arn := c.arn("cluster", name)
	if found := c.Clusters[arn]; found != nil {
		return found
	}
	return put(&c.Clusters, arn, &Cluster{ARN: arn, Name: name, Status: "ACTIVE"})
}

func (c *call) needDefinition(family string, containers []string) *TaskDefinition {
	arn := c.arn("task-definition", family+":1")
	if found := c.TaskDefinitions[arn]; found != nil {
		return found
	}
	made := &TaskDefinition{ARN: arn, Family: family, Revision: 1, Status: "ACTIVE", NetworkMode: "awsvpc", CPU: "256", Memory: "512"}
	for _, name := range containers {
		made.Containers = append(made.Containers, ContainerDefinition{name, name, true})
	}
	return put(&c.TaskDefinitions, arn, made)
}

func (c *call) needService(cluster *Cluster, name string, definition *TaskDefinition) {
	arn := c.arn("service", cluster.Name, name)
	s := c.Services[arn]
	if s == nil {
		s = put(&c.Services, arn, &Service{
			ARN: arn, Name: name, ClusterARN: cluster.ARN, Status: "ACTIVE", LaunchType: "FARGATE",
			TaskDefinition: definition.ARN, Created: Seconds{c.now},
		})
	}
	s.DesiredCount++
}

// on returns what acts for an account in a region, made if it is not there.
func (f *Fake) on(account, region string) *call {
	return &call{Fake: f, Region: f.state.Region(account, region), account: account, region: region, now: f.now().UTC()}
}

func (f *Fake) serial() uint64 {
	f.state.Serial++
	return f.state.Serial
}

// id returns a new one, later in order than those before.
func (f *Fake) id(prefix string) string { return fmt.Sprintf("%s-%017x", prefix, f.serial()) }

// hex returns n new hexadecimal digits, at most 64, that look random.
func (f *Fake) hex(n int) string {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, f.serial()))
	return fmt.Sprintf("%x", sum)[:n]
}

func (f *Fake) uuid() string {
	h := f.hex(32)
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:]
}
