package mirror_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/periscope-collector/periscope/mirror"
)

// vniOf is the VNI of an interface in a range, without others.
func vniOf(id string, from, to uint32) uint32 {
	sum := sha256.Sum256([]byte(id))
	return from + uint32(binary.BigEndian.Uint64(sum[:])%uint64(to-from+1))
}

// In a range of five each has the next free one, around the end, until none is left.
func TestVNIChain(t *testing.T) {
	rules := parse(t, "vni: {from: 10, to: 14}\n"+everything)
	plan := mirror.Make(rules, state(sources(1, 6)), nil)
	taken := make(map[uint32]bool)
	wrapped := false
	for i, a := range plan.Actions {
		vni, steps := vniOf(eni(i+1), 10, 14), 0
		for ; taken[vni]; steps++ {
			if vni++; vni == 15 {
				vni, wrapped = 10, true
			}
		}
		offset := ""
		if steps > 0 {
			offset = fmt.Sprint(steps)
		}
		if a.Session.VNI != vni || a.Session.Tags["periscope:vni-offset"] != offset {
			t.Errorf("%s has VNI %d, offset %q, want %d, %q", a.Session.InterfaceID, a.Session.VNI, a.Session.Tags["periscope:vni-offset"], vni, offset)
		}
		taken[vni] = true
	}
	if !wrapped || len(plan.Actions) != 5 {
		t.Errorf("%d are mirrored, want 5; around the end: %v", len(plan.Actions), wrapped)
	}
	if got := reasons(plan); got != "every VNI of the range is taken; make the range larger" {
		t.Errorf("held: %s", got)
	}
}

// A VNI that another has, or a rule names, is not ours; of two that have one, the
// lowest id keeps it.
func TestVNITaken(t *testing.T) {
	rules := parse(t, everything)
	vni := vniOf(eni(1), 1<<20, 1<<24-1)
	create := func(rules *mirror.Rules, others ...mirror.Session) uint32 {
		return mirror.Make(rules, state(sources(1, 1), others...), nil).Actions[0].Session.VNI
	}
	if got := create(rules); got != vni {
		t.Errorf("VNI %d, want %d", got, vni)
	}
	if got := create(rules, foreign(1, 9, 1, vni)); got != vni+1 {
		t.Errorf("beside one of others VNI %d, want %d", got, vni+1)
	}
	fixed := parse(t, everything[:strings.Index(everything, "  - {name")]+
		fmt.Sprintf("  - {name: x, match: {service: [x]}, filter: %s, vni: %d}\n  - {name: all, match: all, filter: %s}\n", filter1, vni, filter1))
	if got := create(fixed); got != vni+1 {
		t.Errorf("beside one that a rule names VNI %d, want %d", got, vni+1)
	}
	sessions := made(mirror.Make(rules, state(sources(1, 2)), nil), 1)
	sessions[0].VNI, sessions[1].VNI = vni, vni
	plan := mirror.Make(rules, state(sources(1, 2), sessions...), nil)
	if check(t, plan, "modify 2"); plan.Actions[0].Session.VNI != vniOf(eni(2), 1<<20, 1<<24-1) {
		t.Errorf("the second gets VNI %d", plan.Actions[0].Session.VNI)
	}
	check(t, mirror.Make(rules, state(sources(1, 2), sessions[0], sessions[1], foreign(9, 9, 1, vni)), nil), "modify 1, modify 2")
}

func TestSharedVNI(t *testing.T) {
	rules := parse(t, strings.Replace(everything, "match: all", "match: all, vni: 7", 1))
	plan := mirror.Make(rules, state(sources(1, 2)), nil)
	for _, a := range plan.Actions {
		if a.Session.VNI != 7 {
			t.Errorf("VNI %d, want 7", a.Session.VNI)
		}
	}
	check(t, mirror.Make(rules, state(sources(1, 2), made(plan, 1)...), nil), "")
}

// A token holds until the ten minutes are over.
func TestGeneration(t *testing.T) {
	rules := parse(t, everything)
	at := func(d time.Duration) string {
		s := state(sources(1, 1))
		s.At = start.Add(d)
		return mirror.Make(rules, s, nil).Actions[0].Token
	}
	for d, same := range map[time.Duration]bool{-1: false, 1: true, 10*time.Minute - 1: true, 10 * time.Minute: false} {
		if got := at(d) == at(0); got != same {
			t.Errorf("after %v: the same token %v, want %v", d, got, same)
		}
	}
}
