package sample

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of reading metrics.
const (
	metricsTimeout  = 5 * time.Second
	metricsBytesMax = 8 << 20
)

// ErrMetrics says that there are no metrics to be had.
var ErrMetrics = errors.New("no metrics")

// Metrics are the samples of an operators' listener at a moment, by name and labels as
// they are written.
type Metrics map[string]float64

// Read reads them at a listener's URL. Errors: ErrMetrics, the connection's.
func Read(ctx context.Context, url string) (Metrics, error) {
	ctx, cancel := context.WithTimeout(ctx, metricsTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: status %d: %w", url, answer.StatusCode, ErrMetrics)
	}
	return parse(io.LimitReader(answer.Body, metricsBytesMax))
}

// parse reads Prometheus' text format; what is no sample is left out.
func parse(from io.Reader) (Metrics, error) {
	m := Metrics{}
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		text := lines.Text()
		end := strings.LastIndexByte(text, ' ')
		if end < 1 || text[0] == '#' {
			continue
		}
		if value, err := strconv.ParseFloat(text[end+1:], 64); err == nil && value == value { // NaN says that nobody has asked yet
			m[text[:end]] = value
		}
	}
	return m, lines.Err()
}

// since is how much the counts of a name whose labels hold what is given have grown in
// all; ok is false when there are none. A count that fell was started anew.
func (m Metrics) since(before Metrics, name, labels string) (grown float64, ok bool) {
	for key, value := range m {
		if !isOf(key, name, labels) {
			continue
		}
		ok = true
		if was := before[key]; was <= value {
			value -= was
		}
		grown += value
	}
	return grown, ok
}

func isOf(key, name, labels string) bool {
	of, with, _ := strings.Cut(key, "{")
	return of == name && strings.Contains(with, labels)
}

// label is the value of one label in a key, "" without it.
func label(key, name string) string {
	_, after, _ := strings.Cut(key, name+`="`)
	value, _, _ := strings.Cut(after, `"`)
	return value
}
