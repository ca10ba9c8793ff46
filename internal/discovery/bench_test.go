package discovery

import (
	"fmt"
	"testing"
)

// BenchmarkResolve is a look that finds nothing new.
func BenchmarkResolve(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld()
			for i := range n {
				face := eni("a", fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), 102)
				face.ID += fmt.Sprint(i)
				w.mirror(fmt.Sprint(i), 7, face)
				w.tasks[face.ID] = taskOf(face, 100)
			}
			w.look(110)
			b.ReportAllocs()
			for b.Loop() {
				if _, changed, _ := resolve(&w.inventory, w.known, second(120)); len(changed) != 0 {
					b.Fatal("changed")
				}
			}
		})
	}
}
