package aws_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/internal/config"
)

// configuration returns the periscope.yaml that an instance gets, and its stack.env.
func configuration(t *testing.T, more map[string]any) (*config.Config, map[string]string) {
	t.Helper()
	all := map[string]any{"Bucket": "periscope-bucket-1"} // AWS gives it a name
	maps.Copy(all, more)
	data := at(t, resources(render(t, "collector.yaml", all), "AWS::EC2::LaunchTemplate"), "Template", "LaunchTemplateData", "UserData").(string)
	if len(data) > 16<<10 {
		t.Errorf("user data has %d bytes, more than EC2 takes", len(data))
	}
	file := func(name string) string {
		_, rest, ok := strings.Cut(data, "cat > /etc/periscope/"+name+" <<'END'\n")
		body, _, ended := strings.Cut(rest, "\nEND\n")
		if !ok || !ended {
			t.Fatalf("user data makes no %s", name)
		}
		return body + "\n"
	}
	path := filepath.Join(t.TempDir(), "periscope.yaml")
	if err := os.WriteFile(path, []byte(file("periscope.yaml")), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	env := make(map[string]string)
	for line := range strings.Lines(file("stack.env")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[key] = value
	}
	return c, env
}

// TestConfiguration: each mode has a configuration that Periscope takes, and that is
// what the rest of the template expects.
func TestConfiguration(t *testing.T) {
	for _, m := range modes {
		c, env := configuration(t, mode(m))
		health, allow := ":9478", "10.0.0.0/16"
		switch m {
		case "single":
			health = ""
		case "gwlb":
			allow = "10.9.0.0/16"
		}
		same(t, m, fmt.Sprint(c.Capture.Allow), "["+allow+"]")
		same(t, m, c.Health.Listen, health)
		same(t, m, c.Sessions.Announced, true)
		same(t, m, c.AWS.Changes, "s3://periscope-bucket-1/changes")
		same(t, m, c.Sinks.PCAP.Dir, "/var/lib/periscope/captures")
		same(t, m, env, map[string]string{"STACK": "periscope", "REGION": "eu-central-1", "GROUP": "periscope", "HOOK": "drain",
			"LOG_GROUP": "MetricsLog", "STOP": env["STOP"]})
	}
	c, _ := configuration(t, everything)
	if len(c.AWS.Accounts) != 2 || c.AWS.Accounts[1].ExternalID != "a-word-of-yours" {
		t.Errorf("accounts are %v", c.AWS.Accounts)
	}
}

// TestSeconds: no step of an instance's end takes longer than what waits for it.
//
//	unhealthy   threshold * interval: a load balancer has noticed, and sends elsewhere
//	<= deregistration delay: it sends no more, whatever it noticed
//	<= drain: so long Periscope reads on
//	   drain + stop_timeout < TimeoutStopSec < heartbeat of the lifecycle hook
func TestSeconds(t *testing.T) {
	for _, m := range modes {
		all := render(t, "collector.yaml", mode(m))
		c, env := configuration(t, mode(m))
		drain, stop := time.Duration(c.Drain), time.Duration(c.StopTimeout)
		kill := seconds(t, env["STOP"])
		group := at(t, resources(all, "AWS::AutoScaling::AutoScalingGroup"), "Group").(object)
		hook := group["LifecycleHookSpecificationList"].([]any)[0].(object)
		same(t, m, []any{hook["LifecycleHookName"], hook["LifecycleTransition"], hook["DefaultResult"]},
			[]any{env["HOOK"], "autoscaling:EC2_INSTANCE_TERMINATING", "CONTINUE"})
		same(t, m, group["AutoScalingGroupName"], any(env["GROUP"]))
		heartbeat := seconds(t, hook["HeartbeatTimeout"])
		if drain+stop >= kill || kill >= heartbeat {
			t.Errorf("%s: drain %v + stop %v, TimeoutStopSec %v, heartbeat %v", m, drain, stop, kill, heartbeat)
		}
		balanced := 0
		for _, g := range resources(all, "AWS::ElasticLoadBalancingV2::TargetGroup") {
			balanced++
			g := g.(object)
			attributes := make(map[any]any)
			for _, a := range g["TargetGroupAttributes"].([]any) {
				attributes[a.(object)["Key"]] = a.(object)["Value"]
			}
			noticed := seconds(t, g["HealthCheckIntervalSeconds"]) * time.Duration(g["UnhealthyThresholdCount"].(int))
			gone := seconds(t, attributes["deregistration_delay.timeout_seconds"])
			if noticed > gone || gone > drain {
				t.Errorf("%s: noticed after %v, deregistered after %v, drain %v", m, noticed, gone, drain)
			}
			same(t, m, []any{g["HealthCheckProtocol"], g["HealthCheckPath"], ":" + g["HealthCheckPort"].(string)}, []any{"HTTP", "/readyz", c.Health.Listen})
			same(t, m, []any{g["Protocol"], g["Port"]}, map[string][]any{"nlb": {"UDP", 4789}, "gwlb": {"GENEVE", 6081}}[m])
			if m == "nlb" {
				same(t, m, attributes["deregistration_delay.connection_termination.enabled"], "true")
			} else {
				same(t, m, []any{attributes["target_failover.on_deregistration"], attributes["target_failover.on_unhealthy"]}, []any{"rebalance", "rebalance"})
			}
		}
		for _, b := range resources(all, "AWS::ElasticLoadBalancingV2::LoadBalancer") {
			same(t, m, b.(object)["LoadBalancerAttributes"], []any{object{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}})
		}
		if want := map[string]int{"nlb": 1, "gwlb": 1}[m]; balanced != want || len(resources(all, "AWS::ElasticLoadBalancingV2::Listener")) != want {
			t.Errorf("%s has %d target groups", m, balanced)
		}
	}
}

func seconds(t *testing.T, v any) time.Duration {
	t.Helper()
	n, err := strconv.Atoi(fmt.Sprint(v))
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * time.Second
}

// TestSecondsOnPage: docs/aws.md has the same numbers.
func TestSecondsOnPage(t *testing.T) {
	page := string(read(t, "../../docs/aws.md"))
	mapping := at(t, load(t, "collector.yaml"), "Mappings", "Seconds").(object)
	same(t, "both kinds of load balancer", mapping["nlb"], mapping["gwlb"])
	fleet, single := mapping["nlb"].(object), mapping["single"].(object)
	rows := map[string]string{
		"health check": fmt.Sprintf("%v s x %v", fleet["Interval"], fleet["Threshold"]), "deregistration delay": "Deregistration", "`drain`": "Drain",
		"`stop_timeout`": "StopTimeout", "`TimeoutStopSec`": "Stop", "heartbeat of the lifecycle hook": "Heartbeat",
	}
	cell := func(values object, key string) string {
		if v, ok := values[key]; ok {
			return fmt.Sprintf("%v s", v)
		}
		if strings.Contains(key, " x ") && values["Interval"] != nil {
			return key
		}
		return "-"
	}
	for what, key := range rows {
		row := fmt.Sprintf("| %s | %s | %s |", what, cell(single, key), cell(fleet, key))
		if !strings.Contains(page, row) {
			t.Errorf("docs/aws.md lacks %s", row)
		}
	}
	for _, port := range regexp.MustCompile(`(?:UDP|TCP) (\d+)`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains("4789 6081 9478 443", port[1]) {
			t.Errorf("docs/aws.md has port %s, and the templates do not", port[1])
		}
	}
}
