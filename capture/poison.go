//go:build !race

package capture

// poison fills released memory, so that a use after release shows. It is on in
// builds with the race detector.
const poison = false
