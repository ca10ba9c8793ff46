package strictyaml

import (
	"fmt"
	"io"
	"os"
)

// ReadFile returns what a regular file holds, of a larger one most bytes and one
// more, and the file's state before it was read. What the file is, such as "session
// file", begins every error.
func ReadFile(what, path string, most int) ([]byte, os.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, nil, fmt.Errorf("%s: %s is not a regular file", what, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", what, err)
	}
	return data, info, nil
}
