package changes

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Keys of one account and region sort by time:
//
//	111122223333/eu-central-1/2026/11/21/20/20261121T204105.123456789Z_eni-0a1b_created_0f1e2d3c.json
//
// The last word is the beginning of the content's SHA-256, so that changes of the
// same moment are apart, and one that is put twice is one object.
const (
	hourForm = "2006/01/02/15/"
	timeForm = "20060102T150405.000000000Z"
	suffix   = ".json"
)

// keyOf returns the key of a change that is encoded as data.
func keyOf(c *Change, data []byte) string {
	sum := sha256.Sum256(data)
	return place(c.Account, c.Region) + moment(c.At) + "_" + c.InterfaceID + "_" + c.Kind + "_" + hex.EncodeToString(sum[:4]) + suffix
}

// place returns what the keys of an account and region begin with.
func place(account, region string) string { return account + "/" + region + "/" }

// moment returns what follows in the keys of a time.
func moment(at time.Time) string {
	at = at.UTC()
	return at.Format(hourForm) + at.Format(timeForm)
}

// A label is what a key says.
type label struct {
	place       string // account and region, with a slash behind each
	at          time.Time
	iface, kind string
}

// parseKey returns what a key says, unless it is not of a change.
func parseKey(key string) (l label, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 7 || !validAccount(parts[0]) || !validRegion(parts[1]) {
		return l, false
	}
	words := strings.Split(strings.TrimSuffix(parts[6], suffix), "_")
	if len(words) != 4 {
		return l, false
	}
	at, err := time.Parse(timeForm, words[0])
	l = label{place(parts[0], parts[1]), at, words[1], words[2]}
	hash := words[3]
	return l, err == nil && validInterface(l.iface) && kinds[l.kind] && len(hash) == 8 && strings.Trim(hash, "0123456789abcdef") == "" &&
		key == l.place+moment(at)+"_"+l.iface+"_"+l.kind+"_"+hash+suffix
}

// kinds are those of changes.
var kinds = map[string]bool{Created: true, Modified: true, Deleted: true, Refused: true}

func validAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

func validRegion(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// validInterface reports whether an id can be one of an interface, eni- a few
// letters and digits behind it: it stands in keys.
func validInterface(s string) bool {
	id, ok := strings.CutPrefix(s, "eni-")
	return ok && id != "" && len(id) <= 32 && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
