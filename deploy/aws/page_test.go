package aws_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const pagePath = "../../docs/aws.md"

// commands returns the shell of the page.
func commands(t *testing.T) string {
	t.Helper()
	var all []string
	for _, block := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```").FindAllSubmatch(read(t, pagePath), -1) {
		all = append(all, string(block[1]))
	}
	if len(all) < 8 {
		t.Fatalf("the page has %d blocks of commands", len(all))
	}
	return strings.Join(all, "\n")
}

// TestPageParameters: the commands give parameters that templates have, the first
// ones all that have no default, and values that templates take.
func TestPageParameters(t *testing.T) {
	shell := strings.ReplaceAll(commands(t), "\\\n", " ")
	seen := make(map[string]bool)
	for line := range strings.Lines(shell) {
		found := regexp.MustCompile(`--template-file deploy/aws/(\S+) .*--parameter-overrides (.*)`).FindStringSubmatch(line)
		if found == nil {
			continue
		}
		declared := at(t, load(t, found[1]), "Parameters").(object)
		values := make(map[string]string)
		for _, pair := range regexp.MustCompile(`(\w+)=('[^']*'|\S+)|'(\w+)=([^']*)'`).FindAllStringSubmatch(found[2], -1) {
			values[pair[1]+pair[3]] = pair[2] + pair[4]
		}
		for name, value := range values {
			p, ok := declared[name].(object)
			if !ok {
				t.Errorf("%s has no parameter %s", found[1], name)
				continue
			}
			pattern, ok := p["AllowedPattern"].(string)
			if literal := !strings.ContainsAny(value, "$") && strings.ToUpper(value) != value; ok && literal && !regexp.MustCompile(pattern).MatchString(value) {
				t.Errorf("%s: %s=%s is not %s", found[1], name, value, pattern)
			}
		}
		for name, p := range declared {
			if _, given := values[name]; !seen[found[1]] && !given && p.(object)["Default"] == nil {
				t.Errorf("%s is made without %s", found[1], name)
			}
		}
		seen[found[1]] = true
	}
	for _, name := range templates {
		if !seen[name] {
			t.Errorf("no command makes %s", name)
		}
	}
}

// TestPageOutputs: what the commands ask a stack for it says.
func TestPageOutputs(t *testing.T) {
	outputs := at(t, load(t, "collector.yaml"), "Outputs").(object)
	for _, found := range regexp.MustCompile(`\$\(output (\w+)\)`).FindAllStringSubmatch(commands(t), -1) {
		if outputs[found[1]] == nil {
			t.Errorf("collector.yaml has no output %s", found[1])
		}
	}
}

// TestPageAlarms: the page has each alarm, with its metric.
func TestPageAlarms(t *testing.T) {
	page := string(read(t, pagePath))
	for _, template := range []string{"collector.yaml", "mirror.yaml"} {
		for id, a := range at(t, load(t, template), "Resources").(object) {
			if a.(object)["Type"] != "AWS::CloudWatch::Alarm" {
				continue
			}
			row := regexp.MustCompile("(?m)^\\|[^|]*`" + id + "`[^|]*\\|([^|]*)\\|").FindStringSubmatch(page)
			metric, _ := at(t, a, "Properties").(object)["MetricName"].(string)
			if row == nil || metric != "ApproximateNumberOfMessagesVisible" && !strings.Contains(row[1], "`"+metric) {
				t.Errorf("docs/aws.md has no row of %s with %s", id, metric)
			}
		}
	}
}

// TestPageMetrics: the page has metrics that there are, and as many of them, with the
// two of the disk, as it says that CloudWatch has.
func TestPageMetrics(t *testing.T) {
	page, metrics := string(read(t, pagePath)), string(read(t, "../../docs/metrics.md"))
	for _, name := range regexp.MustCompile("`periscope_\\w+`").FindAllString(page, -1) {
		if !strings.Contains(metrics, "\n| "+name+" |") {
			t.Errorf("docs/aws.md has %s, and there is no such metric", name)
		}
	}
	kept := regexp.MustCompile(`"periscope_\(([^)]*)\)"`).FindSubmatch(read(t, "prometheus.yaml"))
	if count := fmt.Sprintf("| %d metrics and ", strings.Count(string(kept[1]), "|")+1+2); !strings.Contains(page, count) {
		t.Errorf("docs/aws.md lacks %q", count)
	}
}

// TestPageCloudTrail: what roles may do is on the page under the name that
// CloudTrail has for it; S3, SQS and logs have data events, which are off.
func TestPageCloudTrail(t *testing.T) {
	_, section, _ := strings.Cut(string(read(t, pagePath)), "\n## What it sets off in CloudTrail\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for name, role := range map[string]string{"collector.yaml": "Role", "mirror.yaml": "Role", "cross-account.yaml": "Read"} {
		for _, s := range statements(t, render(t, name, nil), role) {
			for _, action := range s.actions {
				service, event, _ := strings.Cut(action, ":")
				if slices.Contains([]string{"ec2", "ecs", "autoscaling", "sts"}, service) && !strings.Contains(section, "`"+event+"`") {
					t.Errorf("docs/aws.md does not say that CloudTrail has %s", event)
				}
			}
		}
	}
}

// TestPageLinks: links lead to pages and headings that are there.
func TestPageLinks(t *testing.T) {
	for _, link := range regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]*))?\)`).FindAllStringSubmatch(string(read(t, pagePath)), -1) {
		file := "aws.md"
		if link[1] != "" {
			file = link[1]
		}
		data, err := os.ReadFile(filepath.Join("../../docs", file))
		if err != nil {
			t.Errorf("%s: %v", link[0], err)
			continue
		}
		heading := regexp.MustCompile("(?mi)^#+ " + strings.ReplaceAll(regexp.QuoteMeta(link[2]), "-", "[ -]") + "$")
		if link[2] != "" && !heading.Match(data) {
			t.Errorf("%s: there is no such heading", link[0])
		}
	}
}

// TestPageTables: each table has its head, and no blank line in it.
func TestPageTables(t *testing.T) {
	rows := regexp.MustCompile(`\n\n\|.*\n(.*)`).FindAllStringSubmatch(string(read(t, pagePath)), -1)
	if len(rows) < 5 {
		t.Errorf("there are %d tables", len(rows))
	}
	for _, row := range rows {
		if !strings.HasPrefix(row[1], "|---") {
			t.Errorf("no head of a table: %s", strings.TrimSpace(row[0]))
		}
	}
}

// TestPageBuilds: what a step runs was built by one before it, and the sidecar's image
// is made of the directory that its program was built into.
func TestPageBuilds(t *testing.T) {
	build, run, _ := strings.Cut(commands(t), " make build\n")
	if strings.Contains(build, "bin/periscope-mirror") || !strings.Contains(run, "bin/periscope-mirror check") {
		t.Error("bin/periscope-mirror is run before it is built, or never")
	}
	for _, text := range []string{run, string(read(t, "sidecar/Dockerfile"))} {
		if !regexp.MustCompile(`GOARCH=arm64 make build BIN=dist/sidecar\n.*docker build --platform linux/arm64 .* dist/sidecar\n`).MatchString(text) {
			t.Error("the image is not made of what was built for its architecture")
		}
	}
}

// TestPageShell: the commands are shell.
func TestPageShell(t *testing.T) {
	script := filepath.Join(t.TempDir(), "page.sh")
	if err := os.WriteFile(script, []byte(commands(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "sh", "-n", script).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
