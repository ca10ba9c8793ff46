package nic

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const devices = "/sys/class/net"

// Master returns the bridge, bond, team or VRF that an interface is a port of,
// or "". What comes in by a port belongs to its master.
func Master(name string) string {
	target, err := os.Readlink(filepath.Join(devices, name, "master"))
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}

// VLANs returns the VLAN interfaces on top of an interface, and those on top of
// them, sorted. It knows only those of this network namespace.
func VLANs(name string) []string { return vlans(devices, name, maxTags) }

// maxTags bounds the depth. A packet that is taken carries two tags at most.
const maxTags = 2

func vlans(root, name string, depth int) (names []string) {
	if depth == 0 {
		return nil
	}
	uppers, err := filepath.Glob(filepath.Join(root, name, "upper_*"))
	if err != nil {
		return nil // a name that is a malformed pattern is no interface's
	}
	for _, path := range uppers {
		upper := strings.TrimPrefix(filepath.Base(path), "upper_")
		if isVLAN(root, upper) {
			names = append(append(names, upper), vlans(root, upper, depth-1)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func isVLAN(root, name string) bool {
	event, err := os.ReadFile(filepath.Join(root, name, "uevent"))
	return err == nil && slices.Contains(strings.Split(string(event), "\n"), "DEVTYPE=vlan")
}
