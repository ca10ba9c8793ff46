package nic

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestVLANs reads a tree as the kernel has it: a VLAN, one inside it, and a
// bridge and a macvlan, which are none.
func TestVLANs(t *testing.T) {
	root := t.TempDir()
	device := func(name, kind string, uppers ...string) {
		t.Helper()
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "uevent"), []byte(kind+"INTERFACE="+name+"\nIFINDEX=2\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, upper := range uppers {
			if err := os.Symlink("../"+upper, filepath.Join(dir, "upper_"+upper)); err != nil {
				t.Fatal(err)
			}
		}
	}
	device("ens5", "", "ens5.20", "ens5.10", "br0", "mac0")
	device("ens5.10", "DEVTYPE=vlan\n", "ens5.10.7")
	device("ens5.20", "DEVTYPE=vlan\n")
	device("ens5.10.7", "DEVTYPE=vlan\n", "deeper") // a third tag, which no ring looks behind
	device("deeper", "DEVTYPE=vlan\n")
	device("br0", "DEVTYPE=bridge\n")
	device("mac0", "DEVTYPE=macvlan\n")
	if got, want := vlans(root, "ens5", maxTags), []string{"ens5.10", "ens5.10.7", "ens5.20"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, name := range []string{"absent", "", "[", "br0"} {
		if got := vlans(root, name, maxTags); got != nil {
			t.Errorf("on %q: %q", name, got)
		}
	}
}
