package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
)

// check scrapes as Prometheus does, and holds that as many deliveries were counted as
// orders were written.
func (s *shop) check(ctx context.Context, out io.Writer, orders int) error {
	if err := s.replicator.Flush(ctx); err != nil {
		return err
	}
	page := httptest.NewRecorder()
	s.metrics.ServeHTTP(page, httptest.NewRequestWithContext(ctx, "GET", "/metrics", nil))
	told := 0.0
	for lines := bufio.NewScanner(page.Body); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "replicator_deliveries_total{") && strings.Contains(line, `="replicated"`) {
			fmt.Fprintln(out, line)
			value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			if err != nil {
				return err
			}
			told += value
		}
	}
	if told != float64(orders) {
		return fmt.Errorf("%d orders were written, and Prometheus is told of %v", orders, told)
	}
	return nil
}
