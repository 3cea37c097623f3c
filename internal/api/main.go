// Api holds the public interface of the module against a list of it that is kept with the
// code: a line for each exported name, as it is declared.
//
//	go run ./internal/api          # fails if the list and the code differ
//	go run ./internal/api -add     # adds to the list what is new
//
// What is on the list and not in the code any more, or declared otherwise, breaks those
// who use it. No flag takes it off: whoever means it removes the line by hand, in the same
// commit, and says so in the changelog. An interface is one line, since also a method that
// is added breaks those who implement it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const file = ".ci/api.txt"

func main() {
	add := flag.Bool("add", false, "add what is new to the list")
	flag.Parse()
	if err := run(*add); err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1)
	}
}

func run(add bool) error {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return err
	}
	list := filepath.Join(strings.TrimSpace(string(root)), file)
	present, err := declared(strings.TrimSpace(string(root)))
	if err != nil {
		return err
	}
	text, err := os.ReadFile(list)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	noted := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	broken, added := compare(noted, present)
	switch {
	case len(broken) > 0:
		return fmt.Errorf("the code breaks those who use it. If that is meant, take these lines off %s:\n%s", file, strings.Join(broken, "\n"))
	case len(added) > 0 && !add:
		return fmt.Errorf("the code has more than %s says; go run ./internal/api -add:\n%s", file, strings.Join(added, "\n"))
	case len(added) > 0:
		return os.WriteFile(list, []byte(strings.Join(present, "\n")+"\n"), 0o644)
	}
	return nil
}

// compare gives what is noted and not there, and what is there and not noted.
func compare(noted, present []string) (broken, added []string) {
	for _, line := range noted {
		if line != "" && !slices.Contains(present, line) {
			broken = append(broken, "- "+line)
		}
	}
	for _, line := range present {
		if !slices.Contains(noted, line) {
			added = append(added, "+ "+line)
		}
	}
	return broken, added
}
