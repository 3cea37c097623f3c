package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/internal/testbed"
)

func TestBackup(t *testing.T) {
	for name, places := range map[string]func(t *testing.T) (source, backup string){
		"directories": func(t *testing.T) (string, string) {
			dir := "file:///" + filepath.ToSlash(t.TempDir())
			return dir + "/source", dir + "/backup"
		},
		"servers in two regions": func(t *testing.T) (string, string) {
			return testbed.S3(t), testbed.NewS3Server(t, "eu-west-1").Bucket(t) + "/backups/shop?region=eu-west-1"
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			source, backup := places(t)
			if err := run(t.Context(), &out, t.TempDir(), source, backup); err != nil {
				t.Error(err)
			}
			if got, want := out.String(), "backup: 36 records, 0 missing, 0 different\n"; got != want {
				t.Errorf("it prints %q, want %q", got, want)
			}
		})
	}
}
