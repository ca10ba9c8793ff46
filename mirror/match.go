package mirror

// A Match says which interfaces a rule is about. Each list holds if one of its
// patterns does; all lists that are not empty must hold. Patterns may have * for
// any characters and ? for one; none matches what an interface does not have.
type Match struct {
	All bool // every interface; the lists are empty

	Cluster, Service, Family []string // of the task
	TaskTag                  []string // key or key=value
	Instance, InstanceName   []string // of an instance's own interface
	AutoScalingGroup         []string
	Interface, VPC, Subnet   []string // ids
	Tag                      []string // key or key=value, of task, instance or interface
}

// Meets reports whether a rule with this match is about s.
func (m *Match) Meets(s *Source) bool { return false }
