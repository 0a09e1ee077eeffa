package viewers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
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
	err = get(ctx, ops+"/metrics", func(r io.Reader) error {
		for s := bufio.NewScanner(r); s.Scan(); {
			name, value, _ := strings.Cut(s.Text(), " ")
			n, err := strconv.ParseFloat(value, 64)
			switch {
			case err != nil:
			case name == "go_memstats_heap_inuse_bytes", name == "go_memstats_stack_inuse_bytes":
				m.InUse += int64(n)
			case name == "process_resident_memory_bytes":
				m.Resident = int64(n)
			}
		}
		return nil
	})
	if err == nil && m.InUse == 0 {
		err = fmt.Errorf("%s/metrics tells nothing of memory", ops)
	}
	return m, err
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
