package metrics

// announcementRows are the metrics of what senders say of themselves.
var announcementRows = []metric{
	{"periscope_announcements_total", counter, []string{"outcome"},
		"Announcements of senders that neither the session file nor AWS explains, by outcome.", "All of them heard.",
		func(s *Snapshot, emit emit) {
			for outcome, n := range s.Announcements {
				emit(float64(n), outcome)
			}
		}},
}
