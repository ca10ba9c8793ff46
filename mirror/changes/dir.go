package changes

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Dir returns objects that are files of a directory, a path below it each. Whoever
// puts makes the directory; one that is not there has no objects. A symbolic link
// in it leads nowhere outside. To forget what is old, remove directories of days.
func Dir(path string) Objects { return dir(path) }

type dir string

// open has f work below the directory.
func (d dir) open(f func(*os.Root) error) error {
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return err
	}
	defer root.Close()
	return f(root)
}

func (d dir) Put(ctx context.Context, key string, data []byte) error {
	if !validKey(key) {
		return fmt.Errorf("changes in %s: %.80q is no key", string(d), key)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.MkdirAll(string(d), 0o750); err != nil {
		return fmt.Errorf("changes: %w", err)
	}
	if err := d.open(func(root *os.Root) error { return put(root, key, data) }); err != nil {
		return fmt.Errorf("changes in %s: %w", string(d), err)
	}
	return nil
}

// put writes a file under a name that List passes over, then gives it the one that
// it shall have. A link replaces nothing.
func put(root *os.Root, key string, data []byte) error {
	in := path.Dir(key)
	if err := makeDir(root, in); err != nil {
		return err
	}
	hidden := path.Join(in, ".partial-"+rand.Text())
	f, err := root.OpenFile(hidden, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = cmp.Or(err, f.Sync())
	if err = cmp.Or(err, f.Close()); err == nil {
		err = root.Link(hidden, key)
	}
	if gone := root.Remove(hidden); err == nil {
		err = gone
	}
	return cmp.Or(err, syncDir(root, in))
}

// makeDir makes a directory and those above it, each durable.
func makeDir(root *os.Root, name string) error {
	err := root.Mkdir(name, 0o750)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeDir(root, path.Dir(name)); err == nil {
			err = root.Mkdir(name, 0o750)
		}
	}
	switch {
	case err == nil:
		return syncDir(root, path.Dir(name))
	case errors.Is(err, fs.ErrExist):
		return nil // or no directory, which the file's name will tell
	}
	return err
}

func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (d dir) Get(ctx context.Context, key string) (data []byte, err error) {
	if !validKey(key) {
		return nil, fmt.Errorf("changes in %s: %.80q is no key", string(d), key)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = d.open(func(root *os.Root) error {
		f, err := root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe has nobody wait
		if err != nil {
			return err
		}
		defer f.Close()
		if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
			return cmp.Or(err, fmt.Errorf("%s: %w: no regular file", key, fs.ErrNotExist))
		}
		if data, err = io.ReadAll(io.LimitReader(f, MaxObject+1)); len(data) > MaxObject {
			err = fmt.Errorf("%s: %w", key, ErrTooLong)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("changes in %s: %w", string(d), err)
	}
	return data, nil
}

func (d dir) List(ctx context.Context, after string, limit int) (keys []string, err error) {
	err = d.open(func(root *os.Root) error {
		w := walk{ctx: ctx, root: root, after: after, limit: limit}
		err := w.dir("")
		keys = w.keys
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("changes in %s: %w", string(d), err)
	}
	return keys, nil
}

// A walk lists the files below a root in the order of their paths.
type walk struct {
	ctx   context.Context
	root  *os.Root
	after string
	limit int
	keys  []string
}

// maxNames is how many names of a directory are kept at once: 128 bytes each make
// 1 MiB on each of the six levels.
const maxNames = 8192

// dir lists the directory of a prefix, which is empty or ends with a slash. In a
// directory that changes meanwhile it may pass over what is new.
func (w *walk) dir(prefix string) error {
	for after := w.after; ; {
		names, whole, err := w.names(prefix, after)
		if err != nil {
			return err
		}
		for _, name := range names {
			switch {
			case len(w.keys) >= w.limit:
				return nil
			case strings.HasSuffix(name, "/"):
				err = w.dir(prefix + name)
			default:
				w.keys = append(w.keys, prefix+name)
			}
			if err != nil {
				return err
			}
		}
		if whole {
			return nil
		}
		after = prefix + names[len(names)-1] + "\xff"
	}
}

// names returns the first names of a directory that have keys after one, those of
// directories with a slash, which is how they sort; and whether these are all.
func (w *walk) names(prefix, after string) (names []string, whole bool, err error) {
	f, err := w.root.OpenFile(cmp.Or(prefix, "."), os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) && prefix != "" {
		return nil, true, nil // removed since its name was read
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	whole = true
	for w.ctx.Err() == nil {
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			name := e.Name()
			key := prefix + name
			switch {
			case !validKey(key) || !e.IsDir() && !e.Type().IsRegular():
				continue
			case e.IsDir():
				if name, key = name+"/", key+"/"; key <= after && !strings.HasPrefix(after, key) || after == key+"\xff" {
					continue
				}
			case key <= after:
				continue
			}
			names = append(names, name)
		}
		if len(names) > 2*maxNames {
			names, whole = first(names), false
		}
		if errors.Is(err, io.EOF) {
			cut := first(names)
			return cut, whole && len(cut) == len(names), nil
		}
		if err != nil {
			return nil, false, err
		}
	}
	return nil, false, w.ctx.Err()
}

// first returns the first names in order, at most maxNames.
func first(names []string) []string {
	slices.Sort(names)
	return names[:min(len(names), maxNames)]
}
