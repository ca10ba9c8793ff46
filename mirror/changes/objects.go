package changes

import (
	"context"
	"errors"
)

// MaxObject is how large an object may be, in bytes: a change with every field
// there is takes some 2 KiB.
const MaxObject = 64 << 10

// Objects keep bytes by key. A key is a path of names divided by slashes, of the
// letters, digits and -_.:= of ASCII; no name begins with a dot. Methods may be
// called from any goroutine.
type Objects interface {
	// Put makes an object, whole or not at all, and durable when it returns. If
	// there is one of that key the error is fs.ErrExist, and that one stays.
	Put(ctx context.Context, key string, data []byte) error

	// List returns the keys that come after one, or all for "", in the order of
	// their bytes: the first ones, at most limit, and fewer only if that is all.
	List(ctx context.Context, after string, limit int) ([]string, error)

	// Get returns an object of at most MaxObject bytes, ErrTooLong for a longer
	// one, fs.ErrNotExist if there is none.
	Get(ctx context.Context, key string) ([]byte, error)
}

// ErrTooLong says that an object has more than MaxObject bytes.
var ErrTooLong = errors.New("longer than 64 KiB")

// validKey reports whether a key is one.
func validKey(key string) bool {
	if len(key) > maxKey {
		return false
	}
	start := true // of a name
	for i := range len(key) {
		c := key[i]
		switch {
		case c == '/' || c == '.':
			if start {
				return false
			}
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == ':', c == '=':
		default:
			return false
		}
		start = c == '/'
	}
	return !start
}

// maxKey is how long a key may be, in bytes, as S3 has it (1,024, with a prefix).
const maxKey = 512
