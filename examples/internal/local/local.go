// Package local names the stores that the examples keep on this machine.
package local

import (
	"path/filepath"
	"strings"
)

// URL gives the connection string of the store in a directory below dir.
func URL(dir, name string) string {
	path := filepath.ToSlash(filepath.Join(dir, name))
	return "file:///" + strings.TrimPrefix(path, "/") // C:/… has none
}
