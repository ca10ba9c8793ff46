package discovery

import (
	"context"
	"time"

	"github.com/periscope-collector/periscope/internal/awsapi"
	"github.com/periscope-collector/periscope/packet"
)

// A mirrorFilter is what is known of a mirror filter.
type mirrorFilter struct {
	id   string
	only packet.Direction // the one it accepts; DirectionUnknown: it accepts both or none, or AWS does not say
}

// mirrorFilters lists those of the account.
func mirrorFilters(ctx context.Context, api client) ([]mirrorFilter, error) {
	list, err := api.Filters(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]mirrorFilter, 0, len(list))
	for i := range list {
		program, err := list[i].Compile()
		if err != nil {
			continue
		}
		f := mirrorFilter{id: list[i].Name}
		switch ingress, egress := program.CanAccept(packet.Ingress), program.CanAccept(packet.Egress); {
		case ingress && !egress:
			f.only = packet.Ingress
		case egress && !ingress:
			f.only = packet.Egress
		}
		all = append(all, f)
	}
	return all, nil
}

// gatherFilters takes down which filter each session has. What cannot be listed
// is known by its id alone, or as it was before.
func (s *scope) gatherFilters(ctx context.Context, sessions []awsapi.MirrorSession, now time.Time) error {
	wanted := make(map[string]bool)
	for i := range sessions {
		if id := word(sessions[i].FilterID); id != "" {
			wanted[id] = true
		}
	}
	err := s.filters.fill(ctx, wanted, now)
	known := make(map[string]*mirrorFilter, len(wanted))
	for id := range wanted {
		if known[id] = s.filters.items[id]; known[id] == nil {
			known[id] = &mirrorFilter{id: id}
		}
	}
	filterOf := make(map[string]*mirrorFilter, len(sessions))
	for i := range sessions {
		if f := known[sessions[i].FilterID]; f != nil && word(sessions[i].ID) != "" {
			filterOf[sessions[i].ID] = f
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filterOf = filterOf
	return err
}

// Filter returns the mirror filter of a mirror session, empty if that is not
// known, and the one direction that it accepts, Amazon DNS aside, or
// DirectionUnknown where it accepts both or none, or AWS does not say.
func (d *Discovery) Filter(session string) (id string, only packet.Direction) {
	for _, s := range d.scopes {
		s.mu.Lock()
		f := s.filterOf[session]
		s.mu.Unlock()
		if f != nil {
			return f.id, f.only
		}
	}
	return "", packet.DirectionUnknown
}
