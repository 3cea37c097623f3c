package main

import (
	"maps"
	"slices"

	"github.com/s3db-go/replicator"
)

// life is what happens to one record, first to last.
type life []write

func (l life) inserted(resource string, record replicator.Record) life {
	record["revision"] = int64(1)
	return life{{replicator.Inserted, resource, record.String("id"), record, record}}
}

func (l life) updated(patch replicator.Record) life {
	last := l[len(l)-1]
	patch["revision"] = last.after.Int("revision") + 1
	after := last.after.Clone()
	maps.Copy(after, patch)
	return append(l, write{replicator.Updated, last.resource, last.id, patch, after})
}

func (l life) deleted() life {
	last := l[len(l)-1]
	return append(l, write{replicator.Deleted, last.resource, last.id, nil, last.after})
}

// customerLife lets a customer sign up, collect points, move, and perhaps leave.
func (c *catalog) customerLife(n int) life {
	l := life{}.inserted("customers", c.customer(n))
	points := int64(0)
	for range c.rng.IntN(4) {
		points += int64(10 * (1 + c.rng.IntN(50)))
		l = l.updated(replicator.Record{"points": points})
	}
	if c.chance(20) {
		city := pick(c.rng, c.cities)
		l = l.updated(replicator.Record{"city": city[0], "country": city[1], "email": c.email(n)})
	}
	if c.chance(5) {
		l = l.deleted()
	}
	return l
}

// orderLife lets an order be paid and delivered, or be given up on the way.
func (c *catalog) orderLife(n int, customer string) life {
	l := life{}.inserted("orders", c.order(n, customer))
	for _, status := range []string{"paid", "shipped", "delivered"} {
		if c.chance(5) {
			return l.deleted()
		}
		if c.chance(40) {
			return l
		}
		l = l.updated(replicator.Record{"status": status})
	}
	return l
}

// openLives is how many records a writer has in hand at a time.
const openLives = 20

// interleave mixes lives into one order of writes. Records are born in turn, so that
// a customer is there before its orders.
func (c *catalog) interleave(lives []life) []write {
	var script []write
	var open []life
	for len(lives)+len(open) > 0 {
		if len(lives) > 0 && len(open) < openLives {
			script = append(script, lives[0][0])
			open = append(open, lives[0][1:])
			lives = lives[1:]
			continue
		}
		i := c.rng.IntN(len(open))
		if len(open[i]) == 0 {
			open = slices.Delete(open, i, i+1)
			continue
		}
		script = append(script, open[i][0])
		open[i] = open[i][1:]
	}
	return script
}
