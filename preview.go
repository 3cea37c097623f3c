package replicator

import (
	"fmt"
	"time"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// Preview is what one route would make of a change.
type Preview struct {
	// Route is the index of the route in Destination.Routes, Target where it leads.
	Route  int
	Target string
	// Delivery is what the driver would get, nil if it would get nothing.
	Delivery *Delivery
	// Reason names the rule that stops the change, "" if none does.
	Reason string
	// Err is why the delivery would fail for good before it reached the driver: a function
	// of the route gave an error or panicked, or the key can't be built.
	Err error
}

// Preview tells what the destination's routes would make of a change, without sending
// anything: for each route that is for its resource the rule that stops it, or the
// delivery. None are given if no route is for it. The route's functions are called. The
// change needs an Op, Resource and RecordID, and Data as the source would announce it;
// without a SchemaVersion it is taken to follow the present schema. A driver that learns
// the keys of its tables when it is opened knows them only of a replicator that is started.
func (r *Replicator) Preview(destination string, c Change) ([]Preview, error) {
	router, err := r.router(destination)
	if err != nil {
		return nil, fmt.Errorf("replicator: preview: %w", err)
	}
	if err := announceable(&c); err != nil {
		return nil, fmt.Errorf("replicator: preview: %w", err)
	}
	verdicts, err := router.Route(nil, &c)
	if err != nil {
		return nil, fmt.Errorf("replicator: preview: %s: %w", destination, err)
	}
	var previews []Preview
	for _, way := range router.Ways(c.Resource) {
		p := Preview{Route: way.Rule, Target: way.Target, Reason: fmt.Sprintf("the route's Actions leave out what is %s", c.Op)}
		for i := range verdicts {
			if v := &verdicts[i]; v.Rule == way.Rule {
				p.Reason, p.Err = v.Skip, v.Err
				if v.Skip == "" && v.Err == nil {
					p.Delivery = &v.Delivery
				}
			}
		}
		previews = append(previews, p)
	}
	return previews, nil
}

// announceable makes of a change what a recorder would.
func announceable(c *Change) (err error) {
	if !c.Op.Single() || c.Resource == "" || c.RecordID == "" {
		return fmt.Errorf("a change needs one operation, a resource and a record id, got %s", *c)
	}
	if c.Data, err = cdc.Normalize(c.Data); err == nil {
		c.Before, err = cdc.Normalize(c.Before)
	}
	if c.Time.IsZero() {
		c.Time = time.Now()
	}
	c.Time = c.Time.UTC().Truncate(time.Microsecond)
	return err
}

// router gives the routes of a destination, also while nothing runs.
func (r *Replicator) router(destination string) (*route.Router, error) {
	run, err := r.current()
	if err == nil {
		if d := run.find(destination); d != nil {
			return d.router, nil
		}
	} else {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, d := range r.opts.Destinations {
			if d.Name == destination {
				return d.router(newSchemas(r.source)), nil
			}
		}
	}
	return nil, fmt.Errorf("there is no destination %q", destination)
}
