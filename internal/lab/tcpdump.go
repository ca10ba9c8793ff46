package lab

import (
	"regexp"
	"syscall"
)

// Tcpdump has tcpdump write every frame of the interface that meets the filter,
// both directions and whole, to file, with nanosecond times. It returns once
// tcpdump listens.
//
// stop ends it, and fails the test unless tcpdump says that the kernel dropped
// nothing; it need not be called. Frames are in the file as soon as tcpdump has
// seen them.
func (n *Namespace) Tcpdump(iface, file string, filter ...string) (stop func()) {
	n.t.Helper()
	// 64 MiB of buffer holds all that a test sends, whatever the scheduler does.
	p := n.Start("listening on", "tcpdump", append([]string{"-i", iface, "-w", file, "-B", "65536", "-n", "-Q", "inout",
		"--immediate-mode", "-U", "--time-stamp-precision", "nano", "-Z", "root"}, filter...)...)
	return func() {
		n.t.Helper()
		if err := p.Stop(syscall.SIGINT); err != nil {
			n.t.Fatalf("tcpdump on %s: %v\n%s", iface, err, p.Output())
		}
		if !noneDropped.MatchString(p.Output()) {
			n.t.Fatalf("tcpdump on %s lost frames, so there is nothing to compare with:\n%s", iface, p.Output())
		}
	}
}

var noneDropped = regexp.MustCompile(`(?m)^0 packets dropped by kernel$`)
