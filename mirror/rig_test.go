package mirror_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/mirror"
)

const (
	targetA = "tmt-0000000000000000a"
	targetB = "tmt-0000000000000000b"
	targetN = "tmt-0000000000000000f" // a load balancer
	filter1 = "tmf-00000000000000001"
	account = "111122223333"
)

var start = time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC)

// parse returns rules.
func parse(t testing.TB, text string) *mirror.Rules {
	t.Helper()
	rules, err := mirror.Parse("rules.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// everything mirrors all there is, to three targets.
const everything = `
targets: [{id: ` + targetA + `}, {id: ` + targetB + `}, {id: ` + targetN + `}]
sources:
  - {name: all, match: all, filter: ` + filter1 + `}
`

// toOne mirrors all there is, to one interface.
const toOne = `
targets: [{id: ` + targetA + `}]
sources:
  - {name: all, match: all, filter: ` + filter1 + `}
`

func eni(n int) string { return fmt.Sprintf("eni-%017x", n) }
func tms(n int) string { return fmt.Sprintf("tms-%017x", n) }

// source returns the interface of a task, in zone 1.
func source(n int) mirror.Source {
	return mirror.Source{
		InterfaceID: eni(n), Type: "interface", VPCID: "vpc-00000001", SubnetID: "subnet-00000001", AZID: "euc1-az1",
		MAC: [6]byte{2, 0, 0, 0, byte(n >> 8), byte(n)}, Address: netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}),
		Task: &mirror.Task{
			ARN:        fmt.Sprintf("arn:aws:ecs:eu-central-1:111122223333:task/prod/%032x", n),
			ClusterARN: "arn:aws:ecs:eu-central-1:111122223333:cluster/prod", Cluster: "prod", Service: "web", Family: "web",
		},
	}
}

// sources returns interfaces from one number to another.
func sources(from, to int) []mirror.Source {
	var list []mirror.Source
	for n := from; n <= to; n++ {
		list = append(list, source(n))
	}
	return list
}

// targets are A in zone 1, B in zone 2 and a load balancer.
func targets() map[string]mirror.Target {
	return map[string]mirror.Target{
		targetA: {ID: targetA, Type: "network-interface", AZID: "euc1-az1", InterfaceID: eni(0xaaaa)},
		targetB: {ID: targetB, Type: "network-interface", AZID: "euc1-az2", InterfaceID: eni(0xbbbb)},
		targetN: {ID: targetN, Type: "network-load-balancer"},
	}
}

func state(sources []mirror.Source, sessions ...mirror.Session) *mirror.State {
	return &mirror.State{At: start, Account: account, Whole: true, Sources: sources, Sessions: sessions, Targets: targets()}
}

// made returns the sessions that a plan makes, with ids from one on.
func made(plan *mirror.Plan, from int) []mirror.Session {
	var list []mirror.Session
	for _, a := range plan.Actions {
		if a.Verb == mirror.Create {
			a.Session.ID = tms(from + len(list))
			list = append(list, a.Session)
		}
	}
	return list
}

// foreign returns a session of somebody else.
func foreign(id, interfaceID int, number int, vni uint32) mirror.Session {
	return mirror.Session{ID: tms(id), InterfaceID: eni(interfaceID), TargetID: targetA, FilterID: filter1,
		Number: number, VNI: vni, OwnerID: account, Tags: map[string]string{"periscope:owner": "another"}}
}
