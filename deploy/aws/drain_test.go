package aws_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// imds is instance metadata: those of an instance that is made, serves, and is to
// go at last.
type imds struct {
	mu     sync.Mutex
	states []string // of the answers to come; "" is 404. The last one stays
	log    string   // file that the other programs write to
	early  string   // what was in it before the last state was told
}

func (m *imds) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" && r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "":
		fmt.Fprint(w, "secret")
	case r.Header.Get("X-aws-ec2-metadata-token") != "secret":
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/latest/meta-data/instance-id":
		fmt.Fprint(w, "i-0a1b2c3d4e5f60718")
	case r.URL.Path == "/latest/meta-data/autoscaling/target-lifecycle-state":
		state := m.states[0]
		if len(m.states) > 1 {
			m.states = m.states[1:]
		} else if m.early == "" {
			data, _ := os.ReadFile(m.log)
			m.early = "then " + string(data)
		}
		if state == "" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fmt.Fprint(w, state)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// programs puts shell scripts in place of programs, before those of the machine,
// and returns the file that each writes its arguments to, and an environment.
func programs(t *testing.T, scripts map[string]string) (log string, env []string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	for name, script := range scripts {
		body := "#!/bin/sh\necho \"$(basename \"$0\") $*\" >>" + log + "\n" + script + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return log, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
}

func shell(t *testing.T, env []string, script string) (output string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", script)
	cmd.Env = env
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	return strings.Split(strings.TrimSuffix(string(read(t, file)), "\n"), "\n")
}

const complete = "aws autoscaling complete-lifecycle-action --region eu-central-1 --auto-scaling-group-name periscope " +
	"--lifecycle-hook-name drain --instance-id i-0a1b2c3d4e5f60718 --lifecycle-action-result CONTINUE"

// TestDrain: nothing happens to an instance that is to serve; on one that is to go
// Periscope is stopped first, and then the instance let go, as often as it takes.
func TestDrain(t *testing.T) {
	need(t, "curl")
	for _, tt := range []struct {
		name, systemctl, aws string
		want                 []string
	}{
		{"well", "", "", []string{"systemctl stop periscope.service", complete}},
		{"stopped badly", "exit 1", "", []string{"systemctl stop periscope.service", complete}},
		{"not waited for yet", "", `[ "$(grep -c ^aws "$LOG")" -ge 3 ]`, []string{"systemctl stop periscope.service", complete, complete, complete}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log, env := programs(t, map[string]string{"systemctl": tt.systemctl, "aws": tt.aws})
			m := &imds{states: []string{"", "", "InService", "InService", "Terminated"}, log: log}
			server := httptest.NewServer(m)
			defer server.Close()
			env = append(env, "IMDS="+server.URL, "EVERY=0.01", "LOG="+log, "REGION=eu-central-1", "GROUP=periscope", "HOOK=drain")
			if out, err := shell(t, env, "periscope-drain.sh"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			same(t, "what was done", lines(t, log), tt.want)
			same(t, "before it was to go", m.early, "then ")
		})
	}
}

// TestDrainNeedsNames: without knowing whose hook it is the script does nothing.
func TestDrainNeedsNames(t *testing.T) {
	log, env := programs(t, map[string]string{"systemctl": "", "aws": "", "curl": "echo Terminated"})
	out, err := shell(t, append(env, "REGION=eu-central-1", "GROUP="), "periscope-drain.sh")
	if _, stat := os.Stat(log); err == nil || !strings.Contains(out, "GROUP") || stat == nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestBoot: the volume is made and mounted, then the service starts, and the agent
// last; a volume that has a file system keeps it.
func TestBoot(t *testing.T) {
	for _, kept := range []bool{false, true} {
		dir := t.TempDir()
		etc, aws := filepath.Join(dir, "etc"), filepath.Join(dir, "aws")
		for _, d := range []string{filepath.Join(etc, "periscope"), aws} {
			if err := os.MkdirAll(d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		copied := map[string]string{filepath.Join(etc, "periscope/stack.env"): "STACK=periscope\nLOG_GROUP=logs-1\nSTOP=150\n", filepath.Join(dir, "sdf"): ""}
		for _, name := range []string{"boot.sh", "prometheus.yaml", "amazon-cloudwatch-agent.json"} {
			copied[filepath.Join(aws, name)] = string(read(t, name))
		}
		for path, content := range copied {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		blkid := `case $1 in -s) echo 0a1b;; *) exit 2;; esac`
		if kept {
			blkid = `case $1 in -s) echo 0a1b;; esac`
		}
		log, env := programs(t, map[string]string{"blkid": blkid, "mkfs.xfs": "", "mount": "", "systemd-sysusers": "", "sysctl": "",
			"periscope": "", "systemctl": "", "dnf": "", "agent": ""})
		env = append(env, "ETC="+etc, "STATE="+filepath.Join(dir, "state"), "DEVICE="+filepath.Join(dir, "sdf"), "AGENT=agent")
		if out, err := shell(t, env, filepath.Join(aws, "boot.sh")); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		device, state := filepath.Join(dir, "sdf"), filepath.Join(dir, "state")
		want := []string{"blkid " + device, "mkfs.xfs -q " + device, "blkid -s UUID -o value " + device, "mount " + state,
			"systemd-sysusers ", "sysctl --system", "periscope check --config " + etc + "/periscope/periscope.yaml", "systemctl daemon-reload",
			"systemctl enable --now periscope.service periscope-drain.service", "dnf install -y -q amazon-cloudwatch-agent",
			"agent -a fetch-config -m ec2 -s -c file:" + aws + "/amazon-cloudwatch-agent.json"}
		if kept {
			want = slices.Delete(want, 1, 2)
		}
		same(t, "what was done", lines(t, log), want)
		same(t, "fstab", lines(t, filepath.Join(etc, "fstab")), []string{"UUID=0a1b " + state + " xfs noatime,nodev,noexec,nosuid 0 2"})
		same(t, "drop-in", lines(t, filepath.Join(etc, "systemd/system/periscope.service.d/stop.conf")), []string{"[Service]", "TimeoutStopSec=150s"})
		for file, want := range map[string]string{"prometheus.yaml": `{stack: "periscope"}`, "amazon-cloudwatch-agent.json": `"log_group_name": "logs-1"`} {
			if text := string(read(t, filepath.Join(aws, file))); !strings.Contains(text, want) || strings.Contains(text, "@") {
				t.Errorf("%s is\n%s", file, text)
			}
		}
	}
}

// need skips the test, or fails it with CI=true, when a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("needs %s: install it", name)
			}
			t.Skipf("needs %s: install it", name)
		}
	}
}
