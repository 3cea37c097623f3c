package replicator

import (
	"cmp"
	"fmt"

	"github.com/s3db-go/replicator/cdc"
	"github.com/s3db-go/replicator/internal/route"
)

// loops gives the routes by which a change would come back as a change of the same
// resource, for ever: at destinations that are the source itself, without a filter that
// could end it.
func (o Options) loops(source cdc.Source) (faults []error) {
	type edge struct{ from, to string }
	var edges []edge // "*" as from is any resource
	reaches := func(from, to string) bool {
		seen, next := map[string]bool{}, []string{from}
		for len(next) > 0 {
			at := next[0]
			if next = next[1:]; seen[at] {
				continue
			}
			if at == to {
				return true
			}
			seen[at] = true
			for _, e := range edges {
				if e.from == at || e.from == route.Everything {
					next = append(next, cmp.Or(e.to, at))
				}
			}
		}
		return false
	}
	for _, d := range o.Destinations {
		host, ok := d.Driver.(cdc.Hosted)
		if !ok || missing(d.Driver) || !host.DeliversTo(source) || d.ShouldReplicate != nil {
			continue
		}
		for i, r := range d.Routes {
			if r.ShouldReplicate != nil {
				continue
			}
			edges = append(edges, edge{r.From, r.To})
			if r.From == route.Everything || reaches(cmp.Or(r.To, r.From), r.From) {
				faults = append(faults, fmt.Errorf("replicator: destination %q: Routes[%d] carries %q in a circle: the destination is the source, and captures what it is sent", d.Name, i, r.From))
			}
		}
	}
	return faults
}
