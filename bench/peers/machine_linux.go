package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// machine says what was measured, where, and how.
func (c *course) machine() []string {
	first := func(name string, args ...string) string {
		out, _ := exec.Command(name, args...).CombinedOutput()
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return strings.TrimRight(line, ".")
	}
	versions := []string{first(c.periscope, "version"), first("tcpdump", "--version"), first("dumpcap", "--version"),
		first("netsniff-ng", "--version"), first("editcap", "--version")}
	return []string{
		fmt.Sprintf("%d x %s, Linux %s, %s.", runtime.NumCPU(), processor(), first("uname", "-r"), runtime.Version()),
		strings.Join(versions, "; ") + ".",
		"`peers " + strings.Join(os.Args[1:], " ") + "`",
	}
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	_, rest, _ := strings.Cut(string(text), "model name\t: ")
	line, _, _ := strings.Cut(rest, "\n")
	return line
}
