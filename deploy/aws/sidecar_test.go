package aws_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/periscope-collector/periscope/mirror"
)

// container is a container definition of ECS, as far as the sidecar has it.
type container struct {
	Name, Image, User     string
	Command               []string
	Essential, Privileged bool
	RestartPolicy         struct {
		Enabled              bool
		IgnoredExitCodes     []int
		RestartAttemptPeriod int
	}
	CPU, Memory            int
	ReadonlyRootFilesystem bool
	LinuxParameters        struct {
		Capabilities struct{ Add, Drop []string }
	}
	StopTimeout      int
	LogConfiguration struct {
		LogDriver string
		Options   map[string]string
	}
	DependsOn []struct{ ContainerName, Condition string }
}

func sidecar(t *testing.T) *container {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(read(t, "sidecar/container.json")))
	decoder.DisallowUnknownFields()
	var c container
	if err := decoder.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return &c
}

// TestSidecar: a container that the task does without, bounded, and with no more
// rights than packet sockets need.
func TestSidecar(t *testing.T) {
	c := sidecar(t)
	if c.Essential || c.Privileged || len(c.DependsOn) > 0 || !c.ReadonlyRootFilesystem || c.CPU != 64 || c.Memory != 64 {
		t.Errorf("%+v", c)
	}
	// https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities
	given := strings.Fields("AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT")
	left := slices.DeleteFunc(given, func(name string) bool { return slices.Contains(c.LinuxParameters.Capabilities.Drop, name) })
	same(t, "capabilities", append(left, c.LinuxParameters.Capabilities.Add...), []string{"NET_RAW"})
	if c.LogConfiguration.Options["mode"] != "non-blocking" {
		t.Error("a log that stands still holds up the container")
	}
	if !c.RestartPolicy.Enabled || !slices.Contains(c.RestartPolicy.IgnoredExitCodes, 2) {
		t.Errorf("%+v: bad usage does not mend", c.RestartPolicy)
	}
}

// TestSidecarImage: the image has the binary and runs it, as the user that the
// task definition says.
func TestSidecarImage(t *testing.T) {
	var got []string
	for line := range strings.Lines(string(read(t, "sidecar/Dockerfile"))) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			got = append(got, line)
		}
	}
	same(t, "the Dockerfile", got, []string{"FROM scratch", "COPY --chmod=0555 periscope /periscope", "USER " + sidecar(t).User, `ENTRYPOINT ["/periscope"]`})
}

// TestSidecarCommand: the program has the command and its flags.
func TestSidecarCommand(t *testing.T) {
	c := sidecar(t)
	binary := filepath.Join(t.TempDir(), "periscope")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-pgo=off", "-o", binary, "../../cmd/periscope").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), binary, c.Command[0], "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, flag := range c.Command[1:] {
		if strings.HasPrefix(flag, "--") && !regexp.MustCompile(`(?m)^\s+`+flag+`\s`).Match(out) {
			t.Errorf("periscope %s has no flag %s:\n%s", c.Command[0], flag, out)
		}
	}
}

// TestSidecarDefinition: the AWS command line takes it for a container definition.
func TestSidecarDefinition(t *testing.T) {
	definition := filepath.Join(t.TempDir(), "task.json")
	text := `{"family": "web", "containerDefinitions": [` + string(read(t, "sidecar/container.json")) + `]}`
	if err := os.WriteFile(definition, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	judged(t, "aws", "ecs", "register-task-definition", "--region", "eu-central-1", "--cli-input-json", "file://"+definition, "--generate-cli-skeleton", "output")
}

// TestRules: the example of rules is one, owned by whom the role may act for.
func TestRules(t *testing.T) {
	rules, err := mirror.Parse("rules.yaml", read(t, "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "owner", rules.Owner, at(t, load(t, "mirror.yaml"), "Parameters", "Owner", "Default"))
	same(t, "who is left out", rules.Sources[0].Match.AutoScalingGroup, []string{"periscope"})
	if rules.Sources[0].Mirror || !rules.Sources[1].Mirror {
		t.Errorf("%+v", rules.Sources)
	}
}
