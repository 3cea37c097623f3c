package engine_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/engine"
	"github.com/s3db-go/replicator/internal/journal"
	"github.com/s3db-go/replicator/internal/route"
)

// A change that can't be routed now holds up none that came before it, and none is routed
// past: all go once it can be.
func TestWhatComesBeforeAChangeThatCantBeRoutedGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var known atomic.Bool
		d := &driver{limits: cdc.Limits{Events: true}}
		w := prepare(t, d, func(c *engine.Config) {
			c.Router = route.New([]route.Rule{{From: "things"}}, route.Options{
				Schema: func(_ string, version int) (cdc.Schema, bool, error) {
					if version == 2 && !known.Load() {
						return cdc.Schema{}, false, errors.New("not now")
					}
					return cdc.Schema{Version: version}, true, nil
				},
			})
		})
		w.journal.SaveCursor("dest", journal.Cursor{})
		// More than is read at a time. The last before the change and all behind it are read
		// together, so that the journal has nothing more then.
		const before, all = 119, 125
		for i := range all {
			if i == before {
				w.journal.schema = 2
			}
			w.journal.update(fmt.Sprint("r", i))
		}
		if err := w.engine.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.expect(before, 0, 0, 0)
		known.Store(true)
		w.drain()
		w.expect(all, 0, 0, 0)
		w.stop()
	})
}
