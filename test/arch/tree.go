// Package arch holds the rules of the house as tests: who may import whom and why, what every package and file owes its
// reader. It only parses the source, so it is quick and judges packages that do not compile at the moment as well.
package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// module is the path of this module; packages are named relative to it below.
const module = "github.com/trifid-cloud/trifid"

// sourceFile is one Go file of the tree.
type sourceFile struct {
	path    string // relative to the module's root, with slashes
	dir     string // of path
	lines   int
	imports []string // paths; of this module's packages relative to its root
	syntax  *ast.File
	fset    *token.FileSet
}

// isTest reports whether the file is test code: a test, or part of a package that serves tests only.
func (f sourceFile) isTest() bool {
	return strings.HasSuffix(f.path, "_test.go") || within(f.dir, "test") || f.importsAny("testing")
}

// isGenerated reports whether the file says of itself that it is generated (https://go.dev/s/generatedcode).
func (f sourceFile) isGenerated() bool { return ast.IsGenerated(f.syntax) }

func (f sourceFile) importsAny(paths ...string) bool {
	for _, got := range f.imports {
		for _, path := range paths {
			if within(got, path) {
				return true
			}
		}
	}
	return false
}

// within reports whether a slash path is dir or below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// isOurs reports whether an import path, as sourceFile has them, is of this module.
func isOurs(path string) bool {
	return within(path, "cmd") || within(path, "internal") || within(path, "test")
}

// isStandard reports whether an import path, as sourceFile has them, is of the standard library: only there (and in ours)
// the first element has no dot.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && !isOurs(path)
}

// walk calls visit with every regular file of the tree at root that is part of the project, its path relative to root
// and with slashes: not what Git ignores, not the test data (data may be of any kind), not hidden directories except .ci.
func walk(root string, visit func(path string) error) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			hidden := strings.HasPrefix(name, ".") && name != ".ci"
			if hidden || name == "bin" || name == "testdata" || name == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		// A linked worktree has a file .git in the place of the directory.
		if !entry.Type().IsRegular() || name == ".git" {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(rel))
	})
}

// parseTree parses the Go files of the tree at root.
func parseTree(root string) ([]sourceFile, error) {
	var files []sourceFile
	err := walk(root, func(path string) error {
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return err
		}
		file, err := parseFile(path, text)
		if err != nil {
			return fmt.Errorf("parse %s: %w", path, err)
		}
		files = append(files, file)
		return nil
	})
	return files, err
}

func parseFile(path string, text []byte) (sourceFile, error) {
	fset := token.NewFileSet()
	syntax, err := parser.ParseFile(fset, path, text, parser.ParseComments)
	if err != nil {
		return sourceFile{}, err
	}
	file := sourceFile{path: path, dir: filepath.ToSlash(filepath.Dir(path)), syntax: syntax, fset: fset}
	file.lines = strings.Count(string(text), "\n")
	for _, spec := range syntax.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return sourceFile{}, err
		}
		if within(name, module) {
			name = strings.TrimPrefix(name, module+"/")
		}
		file.imports = append(file.imports, name)
	}
	return file, nil
}
