package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// serverProcess is the number of PostgreSQL's main process, 0 where the system does not
// tell of processes, or the server is elsewhere.
type serverProcess int

func findServer(pool *pgxpool.Pool) (serverProcess, error) {
	var backend int
	if err := pool.QueryRow(context.Background(), "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return 0, err
	}
	stat, err := readStat(backend)
	if err != nil || stat.name != "postgres" {
		return 0, nil
	}
	return serverProcess(stat.parent), nil
}

// processorTime is what the server has had of the processors: the main process, those
// that it has now, and those that have ended.
func (s serverProcess) processorTime() (time.Duration, error) {
	if s == 0 {
		return 0, nil
	}
	main, err := readStat(int(s))
	if err != nil {
		return 0, err
	}
	total := main.own + main.ended
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range stats {
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if stat, err := readStat(pid); err == nil && stat.parent == int(s) { // others may have ended meanwhile
			total += stat.own
		}
	}
	return total, nil
}

// processStat is what the system tells of a process.
type processStat struct {
	name       string
	parent     int
	own, ended time.Duration // of itself, and of its children that have ended
}

// tick is the unit of times in /proc, on all of Linux's common architectures.
const tick = 10 * time.Millisecond

func readStat(pid int) (processStat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return processStat{}, err
	}
	// The name stands in brackets, and may hold anything.
	open, closed := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[closed+1:])
	if open < 0 || len(fields) < 15 {
		return processStat{}, fmt.Errorf("/proc/%d/stat can't be read", pid)
	}
	number := func(i int) int {
		n, _ := strconv.Atoi(string(fields[i]))
		return n
	}
	return processStat{
		name: string(text[open+1 : closed]), parent: number(1),
		own: time.Duration(number(11)+number(12)) * tick, ended: time.Duration(number(13)+number(14)) * tick,
	}, nil
}
