package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// backlogCase measures what many waiting changes cost: the start of a process that
// finds them, its memory, and the writers that add to them. The processes are real:
// this program starts itself, once to leave a backlog and once to find it.
func backlogCase(c config, emit func(line)) (err error) {
	dir, err := os.MkdirTemp(c.dir, "benchmark-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var left leftBacklog
	if err := phase(&left, "leave", dir, c); err != nil {
		return err
	}
	var found []foundBacklog
	for range c.rounds {
		var f foundBacklog
		if err := phase(&f, "find", dir, c); err != nil {
			return err
		}
		found = append(found, f)
	}

	record := func(what, unit string, s sample) line {
		return line{Case: fmt.Sprintf("backlog-%s/%d", what, c.changes), Ours: round(s.median()), Unit: unit, N: len(s), Spread: round(s.spread())}
	}
	emit(record("first-delivery", "s", each(found, func(f foundBacklog) float64 { return f.First.Seconds() })))
	emit(record("heap", "MiB", each(found, func(f foundBacklog) float64 { return float64(f.Heap) / (1 << 20) })))
	appends := record("append", "appends/s", left.Large)
	appends.Limit = round(left.Small.median())
	appends.RatioLimit = round(left.Large.median() / left.Small.median())
	emit(appends)
	cpu := record("append-cpu", "µs/append", left.LargeCPU)
	cpu.Limit = round(left.SmallCPU.median())
	cpu.RatioLimit = round(left.SmallCPU.median() / left.LargeCPU.median())
	emit(cpu)
	return nil
}

func each[T any](values []T, figure func(T) float64) sample {
	var s sample
	for _, v := range values {
		s = append(s, figure(v))
	}
	return s
}

// phaseArg makes this program run one phase of the case, and print what it measured.
const phaseArg = "backlog-phase"

// phase runs one in a process of its own.
func phase(result any, name, dir string, c config) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(program, phaseArg, name, dir, strconv.Itoa(c.changes), strconv.Itoa(c.rounds), c.time.String(),
		strconv.FormatInt(time.Now().UnixNano(), 10))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("phase %s: %w", name, err)
	}
	return json.Unmarshal(out, result)
}

// backlogPhase is the other end of phase.
func backlogPhase(args []string, out io.Writer) error {
	if len(args) != 6 {
		return errors.New("a phase is started by the case backlog only")
	}
	changes, err1 := strconv.Atoi(args[2])
	rounds, err2 := strconv.Atoi(args[3])
	length, err3 := time.ParseDuration(args[4])
	born, err4 := strconv.ParseInt(args[5], 10, 64)
	if err := cmp.Or(err1, err2, err3, err4); err != nil {
		return err
	}
	c := config{dir: args[1], rounds: rounds, time: length, changes: changes}
	var result any
	var err error
	if args[0] == "leave" {
		result, err = leaveBacklog(c)
	} else {
		result, err = findBacklog(filepath.Join(c.dir, "large"), time.Unix(0, born))
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(result)
}
