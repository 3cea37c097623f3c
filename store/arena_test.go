package store_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/s3db-go/replicator/store"
)

// kept is an object as a test knows it.
type kept struct {
	headers           map[string]string
	body, contentType string
}

func (k kept) equal(other kept) bool {
	return maps.Equal(k.headers, other.headers) && k.body == other.body && k.contentType == other.contentType
}

func objects() *rapid.Generator[kept] {
	long := rapid.SampledFrom([]string{"", "é", strings.Repeat("a", 127), strings.Repeat("b", 128), strings.Repeat("c", 20_000)})
	value := rapid.OneOf(rapid.StringN(0, 20, -1), long)
	return rapid.Custom(func(t *rapid.T) kept {
		return kept{
			headers:     rapid.MapOfN(rapid.StringN(0, 5, -1), value, 0, 5).Draw(t, "headers"),
			body:        value.Draw(t, "body"),
			contentType: rapid.SampledFrom([]string{"", "application/json"}).Draw(t, "type"),
		}
	})
}

// TestArenaIsAMap: whatever is put and removed, and however many keys have one hash, an
// arena gives what a map would give. What it gave stays as it was, and what it takes is
// bounded by what it keeps.
func TestArenaIsAMap(t *testing.T) {
	hashes := map[string]func(string) uint64{
		"of few numbers":  func(key string) uint64 { return uint64(len(key)) % 3 },
		"around the last": func(key string) uint64 { return ^uint64(len(key) % 2) },
		"one by one":      func(key string) uint64 { return uint64(len(key)) << 40 },
	}
	for name, hash := range hashes {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				arena, want := store.NewArena(hash), map[string]kept{}
				key := rapid.Map(rapid.IntRange(1, 12), func(n int) string { return strings.Repeat("k", n) })
				type given struct{ got, want kept }
				var before []given
				look := func(t *rapid.T, key string) {
					headers, body, contentType, found := arena.Get(key)
					got := kept{headers, body, contentType}
					there, expected := want[key]
					if found != expected {
						t.Fatalf("%s: found %v, want %v", key, found, expected)
					}
					before = append(before, given{got, there})
				}
				t.Repeat(map[string]func(*rapid.T){
					"put": func(t *rapid.T) {
						key, o := key.Draw(t, "key"), objects().Draw(t, "object")
						arena.Put(key, o.headers, o.body, o.contentType)
						want[key] = o
						look(t, key)
					},
					"remove": func(t *rapid.T) {
						key := key.Draw(t, "key")
						_, there := want[key]
						if arena.Remove(key) != there {
							t.Fatalf("remove %s: want %v", key, there)
						}
						delete(want, key)
					},
					"": func(t *rapid.T) {
						live := 0
						for key, o := range want {
							look(t, key)
							live += len(key) + len(o.body) + len(o.contentType) + 20
							for name, value := range o.headers {
								live += len(name) + len(value) + 6
							}
						}
						look(t, "absent")
						// Gaps of a piece, or of as much as is kept, and what a piece has left.
						if taken := arena.Taken(); taken > 2*live+2*64<<10 {
							t.Fatalf("takes %d bytes for %d", taken, live)
						}
						some := slices.DeleteFunc(slices.Sorted(maps.Keys(want)), func(key string) bool { return key <= "kkk" })
						if got := arena.Keys("kk", "kkk"); !slices.Equal(some, got) {
							t.Fatalf("gives the keys %q, want %q", got, some)
						}
						for _, g := range before {
							if !g.got.equal(g.want) {
								t.Fatalf("gave %.300q, want %.300q", g.got, g.want)
							}
						}
						before = before[max(0, len(before)-20):]
					},
				})
			})
		})
	}
}

// TestArenaTakesNoMoreThanItKeeps: what is written over and over, or removed, is not kept.
func TestArenaTakesNoMoreThanItKeeps(t *testing.T) {
	body := strings.Repeat("b", 1000)
	for what, do := range map[string]func(*store.Arena){
		"replaced": func(a *store.Arena) { a.Put("k", nil, body, "") },
		"removed":  func(a *store.Arena) { a.Put("k", nil, body, ""); a.Remove("k") },
	} {
		arena := store.NewArena(func(key string) uint64 { return uint64(len(key)) })
		for range 2000 {
			do(arena)
		}
		if taken := arena.Taken(); taken > 3*64<<10 {
			t.Errorf("%s: takes %d bytes for at most one object of %d", what, taken, len(body))
		}
	}
}
