package replicator

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// interest is what a set of destinations wants.
type interest struct {
	routers []*route.Router
	known   sync.Map // resource → Op: what any of them wants of it
}

func interestOf(destinations []*destination) *interest {
	var in interest
	for _, d := range destinations {
		in.routers = append(in.routers, d.router)
	}
	return &in
}

// of gives what any destination wants of the resource, and whether that was not asked
// before.
func (in *interest) of(resource string) (ops Op, first bool) {
	if ops, ok := in.known.Load(resource); ok {
		return ops.(Op), false
	}
	for each := range cdc.AllOps.Each {
		for _, router := range in.routers {
			if router.Wants(resource, each) {
				ops |= each
			}
		}
	}
	_, known := in.known.LoadOrStore(resource, ops)
	return ops, !known
}

// wants gives what reports whether any destination wants such a change. Of a resource that
// no route takes, which may be a slip of the pen on either side, it tells.
func (run *running) wants(logger *slog.Logger) func(resource string, op Op) bool {
	const most = 20 // lines: who writes resources by the hundred that nobody wants means it
	var told atomic.Int64
	return func(resource string, op Op) bool {
		ops, first := run.wanted.Load().of(resource)
		if ops == 0 && first && !strings.HasPrefix(resource, route.Plugins) && told.Add(1) <= most {
			// Beside the write, whose path has no code of the user in it, as a logger's handler is.
			run.later(func(context.Context) {
				logger.Info("no route takes the resource, so its changes go nowhere", "resource", resource, "routes", run.resources())
			})
		}
		return ops.Has(op)
	}
}
