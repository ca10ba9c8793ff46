package aws_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func alarms(t *testing.T, template string, more map[string]any) map[string]object {
	all := make(map[string]object)
	for id, alarm := range resources(render(t, template, more), "AWS::CloudWatch::Alarm") {
		all[id] = alarm.(object)
	}
	return all
}

// TestAlarms: what there are alarms for, by namespace and metric, and that each goes
// to the topic and says what missing data mean.
func TestAlarms(t *testing.T) {
	ours := []string{"NotReady Periscope periscope_ready breaching", "Silent Periscope periscope_sessions_silent notBreaching",
		"Lost Periscope periscope_lost_packets_total notBreaching", "Dropped Periscope periscope_sink_dropped_total notBreaching",
		"Disk Periscope disk_used_percent notBreaching"}
	for _, tt := range []struct {
		name, template string
		more           map[string]any
		want           []string
	}{
		{"single", "collector.yaml", mode("single"), ours},
		{"nlb", "collector.yaml", mode("nlb"), append([]string{"NlbUnhealthy AWS/NetworkELB UnHealthyHostCount notBreaching"}, ours...)},
		{"gwlb", "collector.yaml", mode("gwlb"), append([]string{"GwlbUnhealthy AWS/GatewayELB UnHealthyHostCount notBreaching"}, ours...)},
		{"sources", "collector.yaml", map[string]any{"SourceGroup": "web"},
			append([]string{"Skipped AWS/EC2 NetworkSkipMirrorIn+NetworkSkipMirrorOut notBreaching"}, ours...)},
		{"mirror", "mirror.yaml", nil, []string{"Lost AWS/SQS ApproximateNumberOfMessagesVisible notBreaching", "Failing AWS/Lambda Errors notBreaching",
			"Late AWS/Lambda Throttles notBreaching", "Idle AWS/Lambda Invocations breaching", "RefusedByAWS Periscope Refused notBreaching"}},
	} {
		var got []string
		for id, a := range alarms(t, tt.template, tt.more) {
			same(t, id, a["AlarmActions"], []any{"arn:aws:sns:eu-central-1:111122223333:alarms"})
			namespace, metric := a["Namespace"], fmt.Sprint(a["MetricName"])
			if math, ok := a["Metrics"]; ok {
				namespace, metric = sum(t, math.([]any))
			}
			got = append(got, fmt.Sprintf("%s %v %s %v", id, namespace, metric, a["TreatMissingData"]))
		}
		slices.Sort(got)
		slices.Sort(tt.want)
		same(t, tt.name, got, tt.want)
	}
}

// sum returns the metrics that an expression adds.
func sum(t *testing.T, math []any) (namespace any, metrics string) {
	t.Helper()
	same(t, "expression", math[0].(object)["Expression"], any("in + out"))
	var names []string
	for _, m := range math[1:] {
		namespace = at(t, m, "MetricStat", "Metric", "Namespace")
		names = append(names, at(t, m, "MetricStat", "Metric", "MetricName").(string))
		same(t, "returned", m.(object)["ReturnData"], any(false))
	}
	return namespace, strings.Join(names, "+")
}

// TestAgent: the CloudWatch agent brings the metrics that have alarms, each of which
// the collector has, under the dimension that the alarms name.
func TestAgent(t *testing.T) {
	var scrape struct {
		Global struct {
			Interval string `yaml:"scrape_interval"`
			Timeout  string `yaml:"scrape_timeout"`
		} `yaml:"global"`
		Jobs []struct {
			Name    string `yaml:"job_name"`
			Targets []struct {
				Targets []string          `yaml:"targets"`
				Labels  map[string]string `yaml:"labels"`
			} `yaml:"static_configs"`
			Relabel []struct {
				Labels []string `yaml:"source_labels"`
				Regex  string   `yaml:"regex"`
				Action string   `yaml:"action"`
			} `yaml:"metric_relabel_configs"`
		} `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal(read(t, "prometheus.yaml"), &scrape); err != nil {
		t.Fatal(err)
	}
	job := scrape.Jobs[0]
	same(t, "target", job.Targets[0].Targets, []string{"127.0.0.1:9477"})
	same(t, "labels", job.Targets[0].Labels, map[string]string{"stack": "@STACK@"})
	kept := regexp.MustCompile("^(?:" + job.Relabel[len(job.Relabel)-1].Regex + ")$")
	same(t, "the last rule", job.Relabel[len(job.Relabel)-1].Action, "keep")
	known := 0
	for _, found := range regexp.MustCompile("(?m)^\\| `(periscope_\\w+)` \\|").FindAllSubmatch(read(t, "../../docs/metrics.md"), -1) {
		if kept.Match(found[1]) {
			known++
		}
	}
	if want := strings.Count(kept.String(), "|") + 1; known != want {
		t.Errorf("of %d metrics kept docs/metrics.md has %d", want, known)
	}
	for id, a := range alarms(t, "collector.yaml", nil) {
		metric := a["MetricName"].(string)
		if strings.HasPrefix(metric, "periscope_") && !kept.MatchString(metric) {
			t.Errorf("%s: %s is not kept", id, metric)
		}
		same(t, id, a["Dimensions"], []any{object{"Name": "stack", "Value": "periscope"}})
	}

	var agent object
	if err := json.Unmarshal(read(t, "amazon-cloudwatch-agent.json"), &agent); err != nil {
		t.Fatal(err)
	}
	emf := at(t, agent, "logs", "metrics_collected", "prometheus")
	same(t, "namespace", at(t, emf, "emf_processor", "metric_namespace"), any("Periscope"))
	same(t, "scrape", at(t, emf, "prometheus_config_path"), any("/usr/share/periscope/aws/prometheus.yaml"))
	declared := at(t, emf, "emf_processor", "metric_declaration").([]any)[0].(object)
	same(t, "declared", []any{declared["label_matcher"], declared["dimensions"]}, []any{"^" + job.Name + "$", []any{[]any{"stack"}}})
	same(t, "namespace", at(t, agent, "metrics", "namespace"), any("Periscope"))
	same(t, "dimensions", at(t, agent, "metrics", "aggregation_dimensions"), any([]any{[]any{"stack"}}))
	same(t, "disk", at(t, agent, "metrics", "metrics_collected", "disk", "resources"), any([]any{"/var/lib/periscope"}))
}
