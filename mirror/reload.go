package mirror

// SetRules has rounds that begin from now on want what other rules say, and waits for
// one that is under way. What was refused, and changes that are not yet written, stay
// as they are.
func (r *Reconciler) SetRules(rules *Rules) {
	r.round.Lock()
	defer r.round.Unlock()
	r.c.Rules = rules
}
