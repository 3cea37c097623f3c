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
	for _, name := range r.names {
		t.Logf("%s lagged behind by at most %v", name, r.worst(name))
		if lagged := r.worst(name) > *dead/2; lagged != (name == victim) {
			t.Errorf("%s lagged behind by %v", name, r.worst(name))
		}
		if r.replicated[name] != uint64(r.orders) {
			t.Errorf("%s got %d of %d orders", name, r.replicated[name], r.orders)
		}
	}
	if first := r.worst(victim); first < *dead*9/10 {
		t.Errorf("it was away for %v, and lagged behind by no more than %v", *dead, first)
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
