package mirror

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// The tags of an own session. The first says that it may be touched; by task and
// instance a Cloud finds what it is for, in the cluster of the name; the others are for
// people.
const (
	TagOwner    = "periscope:owner"
	TagCluster  = "periscope:cluster"
	TagTask     = "periscope:task" // its id
	TagInstance = "periscope:instance"
	tagRule     = "periscope:rule"
	tagService  = "periscope:service"
	tagOffset   = "periscope:vni-offset" // steps from the VNI of the interface to one that was free, if any
)

// tags returns the tags of a session that is to be made: nothing that changes while
// the interface lives, since equal tokens need equal tags.
func tags(owner string, rule *Rule, s *Source, offset int) map[string]string {
	t := map[string]string{TagOwner: owner, tagRule: rule.Name}
	if offset > 0 {
		t[tagOffset] = strconv.Itoa(offset)
	}
	task := s.task()
	for key, value := range map[string]string{
		TagCluster: task.Cluster, tagService: task.Service,
		TagTask: task.ARN[strings.LastIndexByte(task.ARN, '/')+1:], TagInstance: s.instance().ID,
	} {
		if value != "" {
			t[key] = value
		}
	}
	return t
}

// generation is how long equal wishes have equal tokens. After it a session that
// someone deleted is made again, also by who does not know of that.
const generation = 10 * time.Minute

// token returns the client token to make a session: a hash of all that it is, of the
// session before it that is known to be gone, or "", and of the time, in 64
// hexadecimal digits, which is the most that EC2 accepts (EC2 developer guide,
// "Ensuring idempotency").
func token(s *Session, dead string, at time.Time) string {
	text, _ := json.Marshal(struct { // of strings and numbers: it cannot fail
		Session    Session
		Dead       string
		Generation int64
	}{*s, dead, at.Unix() / int64(generation/time.Second)})
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func (r VNIRange) size() int { return int(r.To-r.From) + 1 }

// free returns the VNI of an interface, or the next one that is free, how many steps
// that is away, and takes it. It returns 0 if none is free.
func (p *planner) free(interfaceID string) (vni uint32, offset int) {
	sum := sha256.Sum256([]byte(interfaceID))
	size := p.rules.VNIs.size()
	first := int(binary.BigEndian.Uint64(sum[:]) % uint64(size))
	for offset = range size {
		if p.spent {
			break
		}
		vni = p.rules.VNIs.From + uint32((first+offset)%size)
		if _, taken := p.vnis[vni]; !taken {
			p.vnis[vni] = ""
			return vni, offset
		}
	}
	p.spent = true
	return 0, 0
}
