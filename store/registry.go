package store

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// isoMillis is how the format writes times.
const isoMillis = "2006-01-02T15:04:05.000Z"

// registry gives every attribute of a resource a number for ever, whose base 36 is
// the short key that objects hold in place of the name.
type registry struct {
	NextIndex int            `json:"nextIndex"`
	Mapping   map[string]int `json:"mapping"`
	Burned    []burnedIndex  `json:"burned"`
}

// burnedIndex is the number of an attribute that was removed. Old objects still
// hold it, so that it is never given again.
type burnedIndex struct {
	Index     int    `json:"index"`
	Attribute string `json:"attribute"`
	BurnedAt  string `json:"burnedAt"`
	Reason    string `json:"reason"`
}

// follow gives the registry for another set of attributes: the missing ones get
// the next numbers in the order given, those that are gone are burned.
func (g registry) follow(paths []string, now time.Time) registry {
	next := registry{NextIndex: g.NextIndex, Mapping: maps.Clone(g.Mapping), Burned: slices.Clone(g.Burned)}
	if next.Mapping == nil {
		next.Mapping = make(map[string]int)
	}
	if next.Burned == nil {
		next.Burned = []burnedIndex{}
	}
	for _, index := range next.Mapping {
		next.NextIndex = max(next.NextIndex, index+1)
	}
	for _, path := range slices.Sorted(maps.Keys(g.Mapping)) {
		if !slices.Contains(paths, path) {
			next.Burned = append(next.Burned, burnedIndex{g.Mapping[path], path, now.UTC().Format(isoMillis), "removed"})
			delete(next.Mapping, path)
		}
	}
	for _, path := range paths {
		if _, ok := next.Mapping[path]; !ok {
			for slices.Contains(paths, shortKey(next.NextIndex)) {
				next.NextIndex++ // the original would take the key for the attribute of that name
			}
			next.Mapping[path] = next.NextIndex
			next.NextIndex++
		}
	}
	return next
}

// registryPaths gives the paths that need a number, in the order in which new ones
// get it: first the leaves, then the nested attributes themselves, whose keys hold
// what no leaf can say: that the object is empty, or null. The original takes the
// words of a definition in object form for leaves too.
func registryPaths(attrs []*attribute) []string {
	var leaves, nodes []string
	var walk func([]*attribute)
	walk = func(attrs []*attribute) {
		for _, a := range attrs {
			switch d := a.declared.(type) {
			case nil:
				nodes = append(nodes, a.path)
				walk(a.fields)
			case map[string]any:
				if _, ofPlugin := d["__plugin__"]; !ofPlugin {
					leaves = append(leaves, wordPaths(a.path, d)...)
					nodes = append(nodes, a.path)
				}
			default:
				leaves = append(leaves, a.path)
			}
		}
	}
	walk(attrs)
	return append(leaves, nodes...)
}

func wordPaths(path string, words map[string]any) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(words)) {
		inner, isMap := words[name].(map[string]any)
		switch {
		case isMark(name):
		case isMap && len(inner) > 0:
			out = append(out, wordPaths(path+"."+name, inner)...)
		default:
			out = append(out, path+"."+name)
		}
	}
	return out
}

// shortKey is the header name of a number.
func shortKey(index int) string { return strconv.FormatInt(int64(index), 36) }
