package panics_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/internal/panics"
)

// caught gives the error of what fn panics with.
func caught(fn func()) (err error) {
	defer func() { err = panics.Error("the thing", recover()) }()
	fn()
	return nil
}

func set(m map[string]int, key string) { m[key] = 1 }

func TestError(t *testing.T) {
	const content = "content-of-a-record"
	for name, tt := range map[string]struct {
		fn   func()
		want string
	}{
		"a value":         {func() { panic(content) }, "with a string"},
		"an error":        {func() { _, err := strconv.Atoi(content); panic(err) }, "with a *strconv.NumError"},
		"of the runtime":  {func() { _ = []int{}[len(content)] }, "index out of range [19] with length 0"},
		"a nil map write": {func() { set(nil, content) }, "assignment to entry in nil map"},
	} {
		t.Run(name, func(t *testing.T) {
			text := caught(tt.fn).Error()
			for _, part := range []string{"the thing panicked in panics_test.", "(panics_test.go:", tt.want} {
				if !strings.Contains(text, part) {
					t.Errorf("%q does not say %q", text, part)
				}
			}
			if strings.Contains(text, content) {
				t.Errorf("%q quotes the value", text)
			}
		})
	}
}
