package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/internal/testbed"
)

func TestRestore(t *testing.T) {
	t.Run("directories", func(t *testing.T) {
		source, backup := t.TempDir(), t.TempDir()
		restore(t, "file:///"+filepath.ToSlash(source)+"?sync=off", "file:///"+filepath.ToSlash(backup)+"?sync=off", func(context.Context, place) error { return os.RemoveAll(source) })
	})
	t.Run("a server", func(t *testing.T) { restore(t, testbed.S3(t), testbed.S3(t), wipeRecords) })
}

func restore(t *testing.T, source, backup string, wipe func(context.Context, place) error) {
	t.Helper()
	var out strings.Builder
	if err := run(t.Context(), &out, t.TempDir(), place{source, "of the source"}, place{backup, "of the backup"}, wipe); err != nil {
		t.Error(err)
	}
	want := `^backup: [1-9]\d+ records, 0 missing, 0 different
the source is lost; going on with the backup
restored: [1-9]\d+ records, 0 missing, 0 different
$`
	if !regexp.MustCompile(want).MatchString(out.String()) {
		t.Errorf("it prints\n%s", out.String())
	}
}
