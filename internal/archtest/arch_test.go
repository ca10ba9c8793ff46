package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

func TestImports(t *testing.T) {
	for _, broken := range check(imports(t, os.DirFS("../.."))) {
		t.Error(broken)
	}
}

// TestCheck says that the rules are applied, on a tree that breaks some.
func TestCheck(t *testing.T) {
	tree := fstest.MapFS{
		"packet/a.go":              {Data: []byte(`package packet; import "fmt"`)},
		"packet/a_test.go":         {Data: []byte(`package packet; import "github.com/google/gopacket"`)},
		"decode/a.go":              {Data: []byte(`package decode; import "` + module + `sink/pcap"`)},
		"capture/a.go":             {Data: []byte(`package capture; import "golang.org/x/sys/unix"; import "` + module + `packet"`)},
		"capture/packetize/a.go":   {Data: []byte(`package packetize; import "github.com/google/gopacket/layers"`)},
		"cmd/periscope/a.go":       {Data: []byte(`package main; import "github.com/google/gopacket/pcapgo"`)},
		"cmd/periscope/lab.go":     {Data: []byte(`package main; import "` + module + `internal/lab"`)},
		"tools/go.mod":             {},
		"tools/a.go":               {Data: []byte(`package main; import "` + module + `internal/lab"`)},
		"packet/testdata/x/a.go":   {Data: []byte(`package x; import "` + module + `internal/lab"`)},
		"internal/strictyaml/a.go": {Data: []byte(`package strictyaml; import "go.yaml.in/yaml/v40"`)},
	}
	got := check(imports(t, tree))
	for _, want := range []string{
		"decode/a.go imports " + module + "sink/pcap: " + stage,
		"capture/packetize/a.go imports github.com/google/gopacket/layers: ",
		"cmd/periscope/lab.go imports " + module + "internal/lab: ",
		"internal/strictyaml/a.go imports go.yaml.in/yaml/v40: " + part,
	} {
		i := slices.IndexFunc(got, func(line string) bool { return strings.HasPrefix(line, want) })
		if i < 0 {
			t.Errorf("not found: %s", want)
			continue
		}
		got = slices.Delete(got, i, i+1)
	}
	// The tree has a few of the packages that there are rules for.
	missing := len(got)
	got = slices.DeleteFunc(got, func(line string) bool {
		return strings.HasSuffix(line, ", and no such package") && !strings.HasPrefix(line, "there is a rule for packet,")
	})
	if missing -= len(got); missing < 20 {
		t.Errorf("%d rules of packages that are not there", missing)
	}
	if len(got) != 0 {
		t.Errorf("found as well:\n%s", strings.Join(got, "\n"))
	}
}

// check returns a line for every import that breaks a rule, and for every rule
// of a package that is gone.
func check(files map[string][]string) []string {
	var broken []string
	for file, paths := range files {
		pkg := path.Dir(file)
		for _, imported := range paths {
			for _, l := range limits {
				// Paths of the standard library have no dot in their first element.
				first, _, _ := strings.Cut(imported, "/")
				if l.pkg == pkg && strings.Contains(first, ".") && !below(imported, l.imports...) {
					broken = append(broken, fmt.Sprintf("%s imports %s: %s", file, imported, l.why))
				}
			}
			for _, c := range confinements {
				if below(imported, c.path) && !below(pkg, c.to...) && !below(module+pkg, c.path) {
					broken = append(broken, fmt.Sprintf("%s imports %s: %s", file, imported, c.why))
				}
			}
		}
	}
	return append(broken, gone(files)...)
}

// gone returns a line for every rule about a package that has no files.
func gone(files map[string][]string) []string {
	var named, broken []string
	for _, l := range limits {
		named = append(named, l.pkg)
	}
	for _, c := range confinements {
		named = append(named, c.to...)
	}
	slices.Sort(named)
	for _, pkg := range slices.Compact(named) {
		found := false
		for file := range files {
			found = found || below(path.Dir(file), pkg)
		}
		if !found {
			broken = append(broken, fmt.Sprintf("there is a rule for %s, and no such package", pkg))
		}
	}
	return broken
}

// below reports whether name is one of the paths, or lies below one.
func below(name string, paths ...string) bool {
	return slices.ContainsFunc(paths, func(p string) bool {
		return name == p || strings.HasPrefix(name, p+"/")
	})
}

// imports returns what every Go file of the module imports, by file; tests and
// nested modules are left out.
//
// It reads sources itself rather than run "go list": go test caches a result
// until a file that the test opened changes, and does not see what a child
// process read.
func imports(t *testing.T, tree fs.FS) map[string][]string {
	t.Helper()
	files := make(map[string][]string)
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, nested := fs.Stat(tree, path.Join(name, "go.mod"))
			if name != "." && (nested == nil || entry.Name() == "testdata" || strings.HasPrefix(entry.Name(), ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files[name] = []string{}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			files[name] = append(files[name], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
