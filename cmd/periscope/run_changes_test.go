package main

import (
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/pipeline"
	"github.com/periscope-collector/periscope/mirror/changes"
)

// What periscope-mirror writes names a session while AWS does not answer, ends it,
// and says which interfaces AWS refused.
func TestRunChanges(t *testing.T) {
	dir := t.TempDir()
	log := changes.NewLog(changes.Dir(filepath.Join(dir, "said")))
	const task = "arn:aws:ecs:eu-central-1:111122223333:task/prod/0a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d"
	tell := func(c changes.Change) {
		t.Helper()
		c.At, c.Account, c.Region = time.Now(), "111122223333", "eu-central-1"
		c.ECS = &changes.ECS{ClusterARN: "arn:aws:ecs:eu-central-1:111122223333:cluster/prod", Service: "shop", TaskARN: task}
		if err := log.Put(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	c := collect(t, setup{dir: dir, more: "aws: {changes: said}", env: []string{
		"AWS_ENDPOINT_URL=http://127.0.0.1:9", "AWS_REGION=eu-central-1", "AWS_ACCESS_KEY_ID=nobody", "AWS_SECRET_ACCESS_KEY=nothing",
		"AWS_EC2_METADATA_DISABLED=true",
	}})
	if r := runHere("send", "--to", c.vxlan.String(), "--vni", "7", "--count", "3", "--rate", "0"); r.code != exitOK {
		t.Fatal(r)
	}
	c.waitReceived(3)
	session := changes.Change{
		Kind: changes.Created, SessionID: "tms-1", InterfaceID: "eni-0a1b2c3d", TargetID: "tmt-1", VNI: 7, Number: 1,
		Address: netip.MustParseAddr("127.0.0.1"),
	}
	tell(session)
	tell(changes.Change{Kind: changes.Refused, InterfaceID: "eni-0000ffff", VNI: 9, Code: "UnsupportedOperation", Message: "not this one"})

	var list pipeline.SessionList
	eventually(t, "the session has its name, and both changes are read", func() bool {
		list = pipeline.SessionList{}
		err := json.Unmarshal([]byte(runHere("sessions", "--json", "--admin", c.url).stdout), &list)
		return err == nil && len(list.Sessions) == 1 && list.Sessions[0].Name == "shop-0a1b2c3d" && list.Sessions[0].Packets == 3 &&
			list.Discovery != nil && list.Discovery.Changes != nil && list.Discovery.Changes.Read >= 2
	})
	if d := list.Discovery; len(d.Refused) != 1 || d.Refused[0].Message != "not this one" || d.Refused[0].TaskARN != task || d.Changes.Read != 2 {
		t.Errorf("%+v", d)
	}
	if r := runHere("sessions", "--admin", c.url); !strings.Contains(r.stdout, "\nshop-0a1b2c3d ") || !strings.Contains(r.stdout, "\neni-0000ffff  shop/0a1b2c3d ") {
		t.Errorf("%+v", r)
	}
	series := c.metrics()
	for name, want := range map[string]float64{
		"periscope_changes_up": 1, "periscope_changes_read_total": 2, `periscope_changes_left_out_total{reason="damaged"}`: 0,
		`periscope_mirror_refused_interfaces{code="UnsupportedOperation"}`: 1, `periscope_discovery_skipped_sessions{reason="limit"}`: 0,
	} {
		if got, ok := series[name]; !ok || got != want {
			t.Errorf("%s is %v, %t; want %v", name, got, ok, want)
		}
	}
	session.Kind = changes.Deleted
	tell(session)
	eventually(t, "it is over", func() bool {
		var list pipeline.SessionList
		err := json.Unmarshal([]byte(runHere("sessions", "--json", "--all", "--admin", c.url).stdout), &list)
		return err == nil && len(list.Sessions) == 1 && list.Sessions[0].Over
	})
	for _, s := range c.stop().Sessions {
		if s.Name != "shop-0a1b2c3d" || s.Packets != 3 {
			t.Errorf("the summary has %d packets of %s", s.Packets, s.Name)
		}
	}
}
