package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"testing"
	"time"
)

var dead = flag.Duration("dead", 3*time.Second, "how long the destination is away")

// The destination that is away lags behind by as long as that; nobody else does, and
// nothing is lost.
func TestOutageStaysWithWhoIsAway(t *testing.T) {
	r, err := run(t.Context(), t.TempDir(), *dead)
	if err != nil {
		t.Fatal(err)
	}
	r.print(t.Output())
	if err := r.check(*dead); err != nil {
		t.Error(err)
	}
	lines := 0
	for d := xml.NewDecoder(bytes.NewReader(r.draw())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != len(r.names) {
		t.Errorf("the picture has %d lines", lines)
	}
}
