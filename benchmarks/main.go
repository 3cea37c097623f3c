// Command benchmarks measures the replicator beside what bounds it and beside its
// peers, in turns, in one process, on one disk.
//
//	go run . -case journal -json
//
// The README says what the fields mean. A case is a file of its own; cases lists them.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// config is what a run is asked for.
type config struct {
	dir     string        // in which every measurement makes a directory of its own
	rounds  int           // how often each contender is measured
	time    time.Duration // how long one measurement takes
	changes int           // how many wait, in the cases of which that is the point
}

// benchmark is a case: it measures, and emits a line for each thing that it measured.
type benchmark struct {
	name string
	run  func(config, func(line)) error
}

func cases() []benchmark {
	return []benchmark{
		{"journal", journalCase},
		{"backlog", backlogCase},
		{"fanout", fanoutCase},
		{"caller", callerCase},
		{"memory", memoryCase},
		{"postgres", postgresCase},
		{"webhook", webhookCase},
		{"sqs", sqsCase},
		{"bigquery", bigqueryCase},
		{"s3", s3Case},
		{"s3db-read", readCase},
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == phaseArg {
		exit(backlogPhase(os.Args[2:], os.Stdout))
		return
	}
	if len(os.Args) > 1 && os.Args[1] == endpointArg {
		exit(serveEndpoint(os.Stdin, os.Stdout))
		return
	}
	exit(run(os.Args[1:], os.Stdout))
}

func exit(err error) {
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	var names []string
	for _, c := range cases() {
		names = append(names, c.name)
	}
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	var c config
	name := flags.String("case", "", "the case to run: "+strings.Join(names, ", ")+" (default all)")
	asJSON := flags.Bool("json", false, "print one JSON object per line, not a table")
	profile := flags.String("cpuprofile", "", "write a CPU profile; its label \"contender\" tells whose work it shows")
	flags.StringVar(&c.dir, "dir", os.TempDir(), "a directory on the disk to be measured")
	flags.IntVar(&c.rounds, "n", 9, "measurements of each contender")
	flags.DurationVar(&c.time, "time", 500*time.Millisecond, "length of one measurement")
	flags.IntVar(&c.changes, "changes", 10_000_000, "changes that wait, in case backlog")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if c.rounds < 1 || c.time <= 0 || c.changes < 1 {
		return errors.New("-n, -time and -changes must be positive")
	}
	if *name != "" && !slices.Contains(names, *name) {
		return fmt.Errorf("there is no case %q; there are %s", *name, strings.Join(names, ", "))
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	format := table
	if *asJSON {
		format = jsonLines
	}
	emit := format(out)
	for _, b := range cases() {
		if b.name == cmp.Or(*name, b.name) {
			if err := b.run(c, emit); err != nil {
				return fmt.Errorf("%s: %w", b.name, err)
			}
		}
	}
	return nil
}
