package tap

// A pauser says when the tap keeps its hands off the task's traffic.
type pauser struct {
	on bool
}
