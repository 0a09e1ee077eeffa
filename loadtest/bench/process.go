package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Deadlines of a child process.
const (
	startDeadline = 2 * time.Minute  // a first start runs initdb and migrations
	stopDeadline  = 90 * time.Second // an orderly stop drains the ledger
	pollEvery     = 20 * time.Millisecond
)

// process is a child of this program that is being measured.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
	log  *os.File
	url  string
}

// start runs this same binary with args, its output in dir/name.log.
func start(dir, name, url string, args ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own binary: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	p := &process{cmd: exec.Command(self, args...), done: make(chan struct{}), log: log, url: url}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		_ = log.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		_ = log.Close()
		close(p.done)
	}()
	return p, nil
}

// ready waits until path answers 200.
func (p *process) ready(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, startDeadline)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		if res, err := http.Get(p.url + path); err == nil {
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended before it was ready: %w (see %s)", strings.Join(p.cmd.Args[1:], " "), p.err, p.log.Name())
		case <-ctx.Done():
			return fmt.Errorf("%s not ready: %w (see %s)", strings.Join(p.cmd.Args[1:], " "), ctx.Err(), p.log.Name())
		case <-tick.C:
		}
	}
}

// stop ends the process in order, by force after stopDeadline.
func (p *process) stop() error {
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
		return nil
	default:
	}
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.done:
		return nil
	case <-time.After(stopDeadline):
		_ = p.cmd.Process.Kill()
		<-p.done
		return errors.New("did not stop in time and was killed")
	}
}

// usage is what a process has used since it began.
type usage struct {
	cpu      time.Duration
	resident int64 // bytes
}

// clockTicks is USER_HZ, 100 on every Linux that Go supports.
const clockTicks = 100

// usage reads the operating system's account of the process; zero CPU where
// /proc is missing, and then the CPU bar says that it could not be measured.
func (p *process) usage() usage {
	var u usage
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return u
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(f) > 21 {
		user, _ := strconv.ParseInt(f[11], 10, 64)
		system, _ := strconv.ParseInt(f[12], 10, 64)
		pages, _ := strconv.ParseInt(f[21], 10, 64)
		u.cpu = time.Duration(user+system) * time.Second / clockTicks
		u.resident = pages * int64(os.Getpagesize())
	}
	return u
}

// mallocs reads the process's count of heap allocations from its metrics.
func mallocs(opsURL string) float64 {
	res, err := http.Get(opsURL + "/metrics")
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "go_memstats_mallocs_total "); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(v), 64)
			return n
		}
	}
	return 0
}

// freeAddress asks the system for a loopback address that nobody listens on.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// getJSON decodes the answer of a GET into v.
func getJSON(url string, v any) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(v)
}

// machine says on what the figures were measured.
func machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	var uts unix.Utsname
	kernel := ""
	if unix.Uname(&uts) == nil {
		kernel = ", " + unix.ByteSliceToString(uts.Sysname[:]) + " " + unix.ByteSliceToString(uts.Release[:])
	}
	return fmt.Sprintf("%d x %s, %s%s", runtime.NumCPU(), model, runtime.Version(), kernel)
}
