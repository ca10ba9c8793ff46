// Package ecsmeta asks the ECS task metadata endpoint, version 4, which task this
// process is in (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/
// task-metadata-endpoint-v4.html). It keeps nothing, holds 1 MiB of an answer at
// most, and its functions may be called from any goroutine. It is not a client of
// the ECS API, and does not ask for credentials.
package ecsmeta

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/periscope-collector/periscope/packet"
	"github.com/periscope-collector/periscope/session"
)

// Variable is the environment variable with which ECS names the endpoint.
const Variable = "ECS_CONTAINER_METADATA_URI_V4"

// ErrNone says that the process is in no ECS task.
var ErrNone = errors.New(Variable + " is not set: this is no ECS task")

// Longest is how long Task takes at most.
const Longest = 14 * time.Second

const maxAnswer = 1 << 20 // bytes

// timeout is of one question.
var timeout = 2 * time.Second

// pauses come between questions: a task's first container may be sooner than what
// is known of the task.
var pauses = []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}

// A Meta is what the endpoint says of a task, as far as it tells whose frames are
// whose. Strings may be empty, but for TaskARN.
type Meta struct {
	Cluster     string // a name or an ARN
	ServiceName string // ECS on Fargate does not always tell it
	TaskARN     string
	Family      string // of the task definition, and Revision of that
	Revision    string
	VPCID       string // on EC2 instances alone
	Containers  []Container
}

// A Container is one of a task's.
type Container struct {
	DockerID string `json:"DockerId"`
	Name     string
	Networks []Network
}

// A Network is an interface as a container has it: with awsvpc the task's.
type Network struct {
	NetworkMode         string
	IPv4Addresses       []string
	IPv6Addresses       []string
	MACAddress          string
	IPv4SubnetCIDRBlock string
	IPv6SubnetCIDRBlock string
}

// Task asks which task this process is in. It asks up to five times, 2 s each, and
// returns after Longest at most, or when ctx is done. Outside ECS the error is ErrNone.
func Task(ctx context.Context) (*Meta, error) {
	base := os.Getenv(Variable)
	if base == "" {
		return nil, ErrNone
	}
	if u, err := url.Parse(base); err != nil || u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("%s is %q; it must be an http URL, as ECS sets it", Variable, base)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // without a proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for i := 0; ; i++ {
		m, err := ask(ctx, client, strings.TrimSuffix(base, "/")+"/task")
		if err == nil {
			return m, nil
		}
		if i == len(pauses) {
			return nil, fmt.Errorf("task metadata of ECS: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("task metadata of ECS: %w", ctx.Err())
		case <-time.After(pauses[i]):
		}
	}
}

// ask asks once.
func ask(ctx context.Context, client *http.Client, url string) (*Meta, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %d", url, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", url, err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("%s answers more than %d bytes", url, maxAnswer)
	}
	m := &Meta{}
	if err := json.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	if _, _, ok := m.where(); !ok {
		return nil, fmt.Errorf("%s names the task %.100q; it must be an ARN", url, m.TaskARN)
	}
	return m, nil
}

// Entry returns the task as a session of a VNI, with the addresses of its
// interface mac alone, and none if it has no such interface. A mac of zero is that
// of the only one. The entry has no source and no time.
func (m *Meta) Entry(vni uint32, mac [6]byte) session.Entry {
	prefix, account, _ := m.where()
	w := packet.Workload{
		AccountID: account, VPCID: m.VPCID, Service: m.ServiceName, TaskARN: m.TaskARN, Cluster: last(m.Cluster),
	}
	if prefix != "" {
		w.Region = strings.Split(prefix, ":")[3]
		if w.Cluster != "" {
			w.ClusterARN = prefix + ":cluster/" + w.Cluster
		}
		if m.Family != "" && m.Revision != "" {
			w.TaskDefinitionARN = prefix + ":task-definition/" + m.Family + ":" + m.Revision
		}
	}
	for i := range m.Containers {
		if id := m.Containers[i].DockerID; id != "" && !slices.Contains(w.ContainerIDs, id) {
			w.ContainerIDs = append(w.ContainerIDs, id)
		}
	}
	slices.Sort(w.ContainerIDs)
	id := last(m.TaskARN)
	e := session.Entry{
		Name: cmp.Or(w.Service, m.Family, w.Cluster, "task") + "-" + id[:min(8, len(id))], VNI: vni, MAC: mac,
	}
	if n := m.network(mac); n != nil {
		e.MAC = n.mac()
		e.Addresses = n.addresses()
		for _, block := range []string{n.IPv4SubnetCIDRBlock, n.IPv6SubnetCIDRBlock} {
			if p, err := netip.ParsePrefix(block); err == nil {
				w.SubnetCIDRs = append(w.SubnetCIDRs, p.Masked())
			}
		}
	}
	e.Workload = w
	return e
}

// where returns what the ARNs of the task's cluster begin with, and the account.
func (m *Meta) where() (prefix, account string, ok bool) {
	p := strings.SplitN(m.TaskARN, ":", 6)
	if len(p) < 6 || p[0] != "arn" || p[2] != "ecs" || !strings.HasPrefix(p[5], "task/") || last(p[5]) == "" {
		return "", "", false
	}
	return strings.Join(p[:5], ":"), p[4], true
}

// network returns the interface with a MAC address, for zero the only one, or nil.
func (m *Meta) network(mac [6]byte) (found *Network) {
	for i := range m.Containers {
		for j := range m.Containers[i].Networks {
			n := &m.Containers[i].Networks[j]
			switch own := n.mac(); {
			case own == [6]byte{}:
			case mac != [6]byte{}:
				if own == mac {
					return n
				}
			case found != nil && found.mac() != own:
				return nil
			default:
				found = n
			}
		}
	}
	return found
}

func (n *Network) mac() (mac [6]byte) {
	if parsed, err := net.ParseMAC(n.MACAddress); err == nil && len(parsed) == len(mac) && parsed[0]&1 == 0 {
		copy(mac[:], parsed)
	}
	return mac
}

// addresses returns those that an interface can have.
func (n *Network) addresses() (all []packet.Addr) {
	for _, text := range slices.Concat(n.IPv4Addresses, n.IPv6Addresses) {
		a, err := netip.ParseAddr(text)
		if err == nil && a.Zone() == "" && !a.Unmap().IsUnspecified() && !a.Unmap().IsMulticast() {
			all = append(all, packet.AddrFrom(a))
		}
	}
	return all
}

// last returns the last element of a path or an ARN of one.
func last(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
