package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/internal/testbed"
)

const want = `bob: Bob <bob@example.net> of example.net, admin: true; fields: createdAt created_date domain email id is_admin name
eve: Eve <eve@example.org> of example.org, admin: false; fields: createdAt created_date domain email id is_admin name
`

func TestMigration(t *testing.T) {
	for name, places := range map[string]func(t *testing.T) (source, backup string){
		"directories": func(t *testing.T) (string, string) {
			dir := "file:///" + filepath.ToSlash(t.TempDir())
			return dir + "/source", dir + "/backup"
		},
		"server": func(t *testing.T) (string, string) { return testbed.S3(t), testbed.S3(t) },
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			source, backup := places(t)
			if err := run(t.Context(), &out, t.TempDir(), source, backup); err != nil {
				t.Error(err)
			}
			if got := out.String(); got != want {
				t.Errorf("it prints\n%s\nwant\n%s", got, want)
			}
		})
	}
}
