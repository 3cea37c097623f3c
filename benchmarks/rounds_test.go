package main

import (
	"slices"
	"testing"
)

// TestEveryContenderFollowsEveryOther holds the orders of the rounds to what they are for.
func TestEveryContenderFollowsEveryOther(t *testing.T) {
	for n := 1; n <= 9; n++ {
		rounds := n
		if n%2 == 1 {
			rounds *= 2
		}
		follows := map[[2]int]int{}
		for round := range rounds {
			all := order(round, n)
			for i := 1; i < n; i++ {
				follows[[2]int{all[i-1], all[i]}]++
			}
			slices.Sort(all)
			for i, each := range all {
				if each != i {
					t.Fatalf("round %d of %d contenders has %v", round, n, all)
				}
			}
		}
		if len(follows) != n*(n-1) {
			t.Errorf("of %d contenders there are %d pairs of neighbours, want all %d", n, len(follows), n*(n-1))
		}
		for pair, times := range follows {
			if times != rounds/n {
				t.Errorf("of %d contenders %d follows %d %d times in %d rounds, want %d", n, pair[1], pair[0], times, rounds, rounds/n)
			}
		}
	}
}
