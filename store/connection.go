package store

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
)

// settings are what a connection string and options say.
type settings struct {
	dir        string // "" is memory
	sync       bool
	passphrase string
}

// ValidateConnectionString judges a connection string as Open does, without I/O. The
// error does not quote it.
func ValidateConnectionString(connectionString string) error {
	_, err := parseConnection(connectionString)
	return err
}

// parseConnection reads a connection string. No error quotes it: it may hold a
// passphrase or a key.
func parseConnection(text string) (settings, error) {
	if strings.TrimSpace(text) == "" {
		return settings{}, errors.New("it is empty; is an environment variable not set?")
	}
	scheme, _, ok := strings.Cut(text, "://")
	if !ok {
		return settings{}, errors.New("it has no scheme; want file:///absolute, file://./relative or memory://")
	}
	switch scheme {
	case "file", "memory":
	case "s3", "http", "https":
		return settings{}, fmt.Errorf("%s:// is not supported yet; want file:// or memory://", scheme)
	default:
		return settings{}, errors.New("its scheme is not known; want file:// or memory://")
	}
	u, err := url.Parse(text)
	if err != nil {
		return settings{}, errors.New("it is not a URL")
	}
	if u.Fragment != "" {
		return settings{}, errors.New("a # in it must be written as %23")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return settings{}, errors.New("its query is malformed")
	}
	s := settings{sync: true}
	for name, values := range query {
		value := values[len(values)-1]
		switch {
		case name == "passphrase":
			s.passphrase = value
		case name == "sync" && scheme == "file" && (value == "on" || value == "off"):
			s.sync = value == "on"
		case name == "sync" && scheme == "file":
			return settings{}, errors.New("sync must be on or off")
		default:
			return settings{}, fmt.Errorf("parameter %q is not known", name)
		}
	}
	if scheme == "memory" {
		return s, nil
	}
	s.dir = fileDir(runtime.GOOS, u.Host+u.Path)
	if s.dir == "" {
		return settings{}, errors.New("it names no directory")
	}
	if u.Host != "" && u.Host != "." && u.Host != ".." {
		return settings{}, errors.New("a relative path begins with ./ or ../, an absolute one with /, as in file://./data or file:///data")
	}
	return s, nil
}

// fileDir gives the directory of a URL's path: "/C:/data" is one on Windows.
func fileDir(goos, path string) string {
	if goos == "windows" && len(path) > 2 && path[0] == '/' && path[2] == ':' {
		path = path[1:]
	}
	return filepath.FromSlash(path)
}

// open opens the backend.
func (s settings) open() (backend, error) {
	if s.dir == "" {
		return newMemory(), nil
	}
	return openDirectory(s.dir, s.sync)
}
