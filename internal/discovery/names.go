package discovery

import "github.com/periscope-collector/periscope/session"

// distinguish gives the candidates names that no other interface has at the same
// time, in whichever scope: files and metrics go by name. Who has a name keeps it,
// whoever comes or goes, and while its task or instance is not found. A candidate
// that is new, or called otherwise than before, has the end of its interface's id
// in its name if another interface has that name, or is to have it by the same
// look.
func (l *listing) distinguish(known []tenure) {
	has := make(map[string]string, len(known)) // interface by name
	for i := range known {
		t := &known[i]
		h := holderOf(&t.Entry)
		other, taken := has[t.Name]
		taken = taken && other != h.iface
		if c := l.candidates[h]; c != nil {
			if taken || !c.pending && t.Name != c.Name && t.Name != c.nameApart() {
				continue
			}
			c.Name, c.kept = t.Name, true
		}
		if t.Until == 0 && !taken {
			has[t.Name] = h.iface
		}
	}
	wanted := make(map[string]int) // sessions by name; those of one interface have different ones
	var fresh []*candidate
	for _, h := range l.order {
		if c := l.candidates[h]; !c.kept {
			fresh = append(fresh, c)
			wanted[c.Name]++
		}
	}
	for _, c := range fresh {
		other, taken := has[c.Name]
		if taken && other != c.Workload.InterfaceID || wanted[c.Name] > 1 {
			c.Name = c.nameApart()
		}
	}
}

// nameApart returns the name with the end of the interface's id.
func (c *candidate) nameApart() string {
	name := session.NameApart(c.Name, c.Workload.InterfaceID)
	if session.Reserved(name) {
		return c.Workload.SessionID
	}
	return name
}
