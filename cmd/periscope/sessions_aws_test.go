package main

import (
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/internal/awsfake"
	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/tunnel"
)

// What AWS says of a session is listed, with how it stands with AWS, in the
// metrics and in the journal; frames of another interface are told apart.
func TestSessionsOfAWS(t *testing.T) {
	aws := awsfake.Start(t)
	task, err := aws.RunTask(awsfake.Run{Account: awsfake.HomeAccount, Region: awsfake.HomeRegion, Service: "web"})
	if err != nil {
		t.Fatal(err)
	}
	aws.Change(func(state *awsfake.State) {
		face := state.Region(awsfake.HomeAccount, awsfake.HomeRegion).Interfaces[task.Interface()]
		face.Address = "127.0.0.1"
		face.Addresses = awsfake.Set[awsfake.IPv4]{{Address: "127.0.0.1", Primary: true}}
	})
	mirror, err := aws.Mirror(awsfake.HomeAccount, awsfake.HomeRegion, task.Interface(), 7)
	if err != nil {
		t.Fatal(err)
	}
	id := task.ARN[strings.LastIndexByte(task.ARN, '/')+1:][:8]
	c := collect(t, setup{more: "aws: {}"})
	var r result
	listed := func(what string, want ...string) {
		t.Helper()
		eventually(t, what, func() bool {
			r = runHere("sessions", "--admin", c.url)
			for _, text := range want {
				if !strings.Contains(r.stdout, text) {
					return false
				}
			}
			return true
		})
	}
	listed("learnt", "\nweb-"+id+" ", "web/"+id, task.Interface(), "\nAWS ACCOUNT   REGION ", "\n"+awsfake.HomeAccount+"  "+awsfake.HomeRegion)
	var list pipeline.SessionList
	if err := json.Unmarshal([]byte(runHere("sessions", "--json", "--admin", c.url).stdout), &list); err != nil ||
		len(list.Sessions) != 1 || list.Sessions[0].FilterID != mirror.FilterID {
		t.Errorf("%v; want filter %s of %+v", err, mirror.FilterID, list.Sessions)
	}

	conn, err := net.Dial("udp", c.vxlan.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 5 { // without MAC addresses, as bare IP packets have none
		if _, err := conn.Write(append(tunnel.AppendVXLAN(nil, 7), make([]byte, 60)...)); err != nil {
			t.Fatal(err)
		}
	}
	if r := runHere("send", "--to", c.vxlan.String(), "--vni", "7", "--count", "3", "--rate", "0"); r.code != exitOK {
		t.Fatal(r)
	}
	c.waitReceived(8)
	listed("the other interface", "source_mismatch: vni-7-127.0.0.1 (VNI 7): it has VNI and source of web-"+id+", and another interface;")
	if strings.Contains(r.stdout, "silent:") {
		t.Errorf("it is not silent:\n%s", r.stdout)
	}
	series := c.metrics()
	labels := `{account="` + awsfake.HomeAccount + `",region="` + awsfake.HomeRegion + `"}`
	for name, want := range map[string]float64{
		"periscope_discovery_up" + labels:                                 1,
		"periscope_discovery_sessions" + labels:                           1,
		`periscope_discovery_errors_total{kind="denied"}`:                 0,
		`periscope_session_bytes_total{session="web-` + id + `",vni="7"}`: 300,
		`periscope_sessions{known="true"}`:                                1,
		`periscope_sessions{known="false"}`:                               1,
	} {
		if got, ok := series[name]; !ok || got != want {
			t.Errorf("%s is %v, %t; want %v", name, got, ok, want)
		}
	}
	eventually(t, "it is in the journal", func() bool {
		r = runHere("sessions", "--journal", filepath.Join(c.dir, "sessions.journal"), "--address", "127.0.0.1")
		return strings.Contains(r.stdout, "web-"+id)
	})
	if r.code != exitOK || strings.Count(r.stdout, "\n") != 2 {
		t.Errorf("the journal: %+v", r)
	}
	for _, s := range c.stop().Sessions {
		if want := map[string]uint64{"web-" + id: 5, "vni-7-127.0.0.1": 3}[s.Name]; s.Packets != want {
			t.Errorf("the summary has %d packets of %s, want %d", s.Packets, s.Name, want)
		}
	}
}
