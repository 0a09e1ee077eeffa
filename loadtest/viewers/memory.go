package viewers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Memory is what a server holds, in bytes, as its operators' listener tells.
type Memory struct {
	InUse    int64 // heap and stacks in use after a collection
	Resident int64
}

// MemoryOf has the server collect its garbage and asks what is left.
func MemoryOf(ctx context.Context, ops string) (m Memory, err error) {
	// Twice: what the first collection frees is swept by the second.
	for range 2 {
		if err := get(ctx, ops+"/debug/pprof/heap?gc=1", func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }); err != nil {
			return m, err
		}
	}
	figures, err := metrics(ctx, ops, "go_memstats_heap_inuse_bytes", "go_memstats_stack_inuse_bytes", "process_resident_memory_bytes")
	if err != nil {
		return m, err
	}
	return Memory{InUse: int64(figures[0] + figures[1]), Resident: int64(figures[2])}, nil
}

// CPUOf is how many seconds of a core a server has used so far.
func CPUOf(ctx context.Context, ops string) (seconds float64, err error) {
	figures, err := metrics(ctx, ops, "process_cpu_seconds_total")
	if err != nil {
		return 0, err
	}
	return figures[0], nil
}

// metrics reads figures without labels from /metrics.
func metrics(ctx context.Context, ops string, names ...string) (figures []float64, err error) {
	figures = make([]float64, len(names))
	found := 0
	err = get(ctx, ops+"/metrics", func(r io.Reader) error {
		s := bufio.NewScanner(r)
		for s.Scan() {
			name, value, _ := strings.Cut(s.Text(), " ")
			if i := slices.Index(names, name); i >= 0 {
				if figures[i], err = strconv.ParseFloat(value, 64); err != nil {
					return err
				}
				found++
			}
		}
		return s.Err()
	})
	if err == nil && found != len(names) {
		err = fmt.Errorf("%s/metrics has %d of %s", ops, found, strings.Join(names, ", "))
	}
	return figures, err
}

func get(ctx context.Context, url string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %d", url, answer.StatusCode)
	}
	return read(answer.Body)
}
