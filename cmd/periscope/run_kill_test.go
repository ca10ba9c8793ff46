package main

import (
	"slices"
	"testing"
)

// killUnderLoad kills a collector as kill -9 does. Renamed files are whole,
// .partial files can be read, and what got into a file under the load is there
// still; the next start finishes them.
func killUnderLoad(t *testing.T) {
	c := collect(t, setup{rotate: "size: 256KiB"})
	loads := []*load{newLoad(t, c.vxlan, 1, 0), newLoad(t, c.vxlan, 2, 0)}
	var stops []func()
	for _, l := range loads {
		stops = append(stops, l.start(4000))
	}
	eventually(t, "load for a while", func() bool { return loads[0].begun() > 8000 })
	begun := []int{loads[0].begun(), loads[1].begun()}
	sessions := []string{"vni-1", "vni-2"}
	eventually(t, "what was made until then is in files", func() bool {
		files := readTree(t, c.out)
		return !slices.ContainsFunc([]int{0, 1}, func(i int) bool { return missing(sequences(t, files, sessions[i]), 0, begun[i]) > 0 })
	})
	c.kill()
	for _, stop := range stops {
		stop()
	}

	files := readTree(t, c.out)
	partial, complete := 0, 0
	for _, f := range files {
		if f.partial {
			partial++
		} else {
			complete++
		}
	}
	if partial == 0 || complete == 0 {
		t.Errorf("%d files partial, %d complete", partial, complete)
	}
	var before []map[uint64]int
	for i, session := range sessions {
		seen := sequences(t, files, session)
		once(t, seen, 0, begun[i])
		before = append(before, seen)
	}

	next := collect(t, setup{dir: c.dir})
	next.waitLog(`level=INFO msg="finished capture files of an earlier process" .* left=0`, 1)
	files = readTree(t, c.out)
	noPartial(t, files)
	for i := range loads {
		after := sequences(t, files, sessions[i])
		if len(after) < len(before[i]) {
			t.Errorf("%d frames of VNI %d before the salvage, %d after", len(before[i]), i+1, len(after))
		}
		for n := range before[i] {
			if after[n] != 1 {
				t.Fatalf("frame %d is there %d times after the salvage", n, after[n])
			}
		}
	}
	next.stop()
}

func TestKill(t *testing.T) {
	for range 2 {
		killUnderLoad(t)
	}
}
