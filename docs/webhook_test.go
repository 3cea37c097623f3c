package docs_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/s3db-go/replicator/internal/testbed"
)

// TestSignedWebhook runs the program that signs against the receiver that verifies, both as
// the pages have them: what the receiver prints is what the page says.
func TestSignedWebhook(t *testing.T) {
	w := newWorkshop(t)
	address := free(t)
	shown := ""
	for _, p := range pages(t) {
		for i, b := range p.blocks {
			switch b.arg {
			case "receiver":
				w.write(t, "receiver/main.go", []byte(strings.ReplaceAll(b.text, "localhost:8080", address)))
			case "notes":
				w.write(t, "notes/main.go", []byte(b.text))
				shown = p.blocks[i+1].text
			}
		}
	}
	bin := t.TempDir()
	if out, err := command(t.Context(), w.dir, "go", "build", "-o", bin+string(filepath.Separator), "./receiver", "./notes"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	database := testbed.Postgres(t)
	secret := "WEBHOOK_SECRET=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	var got bytes.Buffer
	receiver := exec.Command(filepath.Join(bin, "receiver"))
	receiver.Env, receiver.Stdout, receiver.Stderr = append(os.Environ(), secret), &got, os.Stderr
	if err := receiver.Start(); err != nil {
		t.Fatal(err)
	}
	sender := exec.CommandContext(t.Context(), filepath.Join(bin, "notes"))
	sender.Dir = t.TempDir()
	sender.Env = append(os.Environ(), "POSTGRES_URL="+database, "WEBHOOK_URL=http://"+address+"/hooks", secret)
	out, err := sender.CombinedOutput()
	receiver.Process.Kill()
	receiver.Wait() // an error: it was killed
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if !slices.Equal(byRecord(got.String()), byRecord(shown)) {
		t.Errorf("the receiver prints\n%s\nand the page shows\n%s", got.String(), shown)
	}
}

// byRecord sorts lines by the record that they begin with; those of one keep their order.
func byRecord(text string) []string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.SortStableFunc(lines, func(a, b string) int {
		const record = len("notes 1")
		return strings.Compare(a[:min(len(a), record)], b[:min(len(b), record)])
	})
	return lines
}
