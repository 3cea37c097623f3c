package store

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"runtime"
	"strings"
)

// settings are what a connection string and options say: the store is on a server, or
// else in a directory, or else in memory.
type settings struct {
	server     *server
	dir        string
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
		return settings{}, errors.New("it has no scheme; want s3://bucket, http://host/bucket, file:///absolute, file://./relative or memory://")
	}
	var place func(*settings, *url.URL) error
	parameters := map[string]func(*settings, string) error{
		"passphrase": func(s *settings, value string) error { s.passphrase = value; return nil },
	}
	switch scheme {
	case "memory":
		place = func(*settings, *url.URL) error { return nil }
	case "file":
		place = placeDir
		parameters["sync"] = setSync
	case "s3", "http", "https":
		place = placeBucket
		parameters["region"] = func(s *settings, value string) error { s.server.region = value; return nil }
		parameters["sessionToken"] = func(s *settings, value string) error { s.server.sessionToken = value; return nil }
		// The style follows from the scheme, as in the original.
		parameters["forcePathStyle"] = func(*settings, string) error { return nil }
	default:
		return settings{}, errors.New("its scheme is not known; want s3://, http://, https://, file:// or memory://")
	}
	u, err := url.Parse(text)
	if err != nil {
		return settings{}, errors.New("it is not a URL; characters like / + and % in a key, a secret or a name must be written as %2F, %2B and %25")
	}
	if u.Fragment != "" {
		return settings{}, errors.New("a # in it must be written as %23")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return settings{}, errors.New("its query is malformed")
	}
	s := settings{sync: true}
	if err := place(&s, u); err != nil {
		return settings{}, err
	}
	for name, values := range query {
		set := parameters[name]
		switch {
		case set != nil:
			if err := set(&s, values[len(values)-1]); err != nil {
				return settings{}, err
			}
		case s.server != nil && strings.Contains(name, "."):
			// The original hands these to its HTTP client: httpClientOptions.timeout.
		default:
			return settings{}, fmt.Errorf("parameter %q is not known", name)
		}
	}
	return s, nil
}

func setSync(s *settings, value string) error {
	if value != "on" && value != "off" {
		return errors.New("sync must be on or off")
	}
	s.sync = value == "on"
	return nil
}

func placeDir(s *settings, u *url.URL) error {
	s.dir = fileDir(runtime.GOOS, u.Host+u.Path)
	if s.dir == "" {
		return errors.New("it names no directory")
	}
	if u.Host != "" && u.Host != "." && u.Host != ".." {
		return errors.New("a relative path begins with ./ or ../, an absolute one with /, as in file://./data or file:///data")
	}
	return nil
}

// placeBucket reads s3://key:secret@bucket/prefix, and http(s)://key:secret@host/bucket/prefix.
func placeBucket(s *settings, u *url.URL) error {
	at := &server{bucket: u.Host, prefix: u.Path}
	if u.Scheme != "s3" {
		if u.Hostname() == "" {
			return errors.New("it names no host")
		}
		at.endpoint = u.Scheme + "://" + u.Host
		at.bucket, at.prefix, _ = strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	} else if u.Port() != "" {
		return errors.New("s3:// is followed by a bucket, which has no port; a server of one's own is http://host:port/bucket")
	}
	if at.bucket == "" {
		return errors.New("it names no bucket")
	}
	// Clean as the original joins: no empty parts, no "." and no "..".
	if at.prefix = strings.TrimPrefix(path.Clean("/"+at.prefix), "/"); at.prefix != "" {
		at.prefix += "/"
	}
	if u.User != nil {
		at.accessKey = u.User.Username()
		at.secretKey, _ = u.User.Password()
	}
	if (at.accessKey == "") != (at.secretKey == "") {
		return errors.New("it has an access key without a secret, or the other way round; is an environment variable not set?")
	}
	s.server = at
	return nil
}

// fileDir gives the directory of a URL's path: "/C:/data" is one on Windows.
func fileDir(goos, path string) string {
	if goos == "windows" && len(path) > 2 && path[0] == '/' && path[2] == ':' {
		path = path[1:]
	}
	return filepath.FromSlash(path)
}

// open opens the backend.
func (s settings) open(ctx context.Context) (backend, error) {
	switch {
	case s.server != nil:
		return openBucket(ctx, s.server)
	case s.dir != "":
		return openDirectory(s.dir, s.sync)
	}
	return newMemory(), nil
}
