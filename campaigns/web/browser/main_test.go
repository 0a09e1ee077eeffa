package browser

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"spillway/deploy/onebox"
	"spillway/deploy/onebox/postgres"
)

// patience is ample for a busy machine: nothing here is a matter of speed.
const patience = time.Minute

// pagesAtOnce is how many tests at least look at pages at a time.
const pagesAtOnce = 4

// house is what all tests share: one `up` with its demo giving day, one Chromium.
// Each test has a browser context, so a storage, and campaigns of its own.
type house struct {
	url      string // of the front-end
	owner    string // where the console's first owner begins, once
	database string // its URL
	browser  context.Context
}

var (
	shared   house
	starting sync.Once
	ending   []func() error // in reverse order, at the end of the package
	errStart error
	lacking  string // what is not installed, "" when all is
)

// chromium finds the browser; "" when there is none.
func chromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func TestMain(m *testing.M) {
	// Donors wait more than they compute. -parallel overrules it.
	if err := flag.Set("test.parallel", strconv.Itoa(max(runtime.GOMAXPROCS(0), pagesAtOnce))); err != nil {
		panic(err)
	}
	status := m.Run()
	for i := len(ending) - 1; i >= 0; i-- {
		if err := ending[i](); err != nil {
			fmt.Fprintln(os.Stderr, "browser tests:", err)
			status = 1
		}
	}
	os.Exit(status)
}

// visit returns the house, started for the first test that asks.
func visit(t testing.TB) house {
	t.Helper()
	starting.Do(func() { errStart = start() })
	if lacking != "" {
		t.Skip(lacking)
	}
	if errStart != nil {
		t.Fatal(errStart)
	}
	return shared
}

func start() error {
	program := chromium()
	if program == "" {
		lacking = "Chromium is not installed: apt-get install chromium"
		return nil
	}
	if _, err := postgres.ThisHost().Find(context.Background(), "", 0); errors.Is(err, postgres.ErrNotFound) {
		lacking = "PostgreSQL is not installed"
		return nil
	}
	dir, err := os.MkdirTemp("", "spillway-browser-")
	if err != nil {
		return err
	}
	ending = append(ending, func() error { return os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // Postgres may run as another user
		return err
	}
	if err := startUp(dir); err != nil {
		return err
	}
	return startBrowser(program, filepath.Join(dir, "profile"))
}

// startUp builds the program and starts `up` on free ports.
func startUp(dir string) error {
	program := filepath.Join(dir, "spillway")
	build := exec.Command("go", "build", "-o", program, "spillway/cmd/spillway")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	data := filepath.Join(dir, "data")
	output, err := os.Create(filepath.Join(dir, "up.log"))
	if err != nil {
		return err
	}
	up := exec.Command(program, "up", "--data", data, "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--no-install")
	up.Stdout, up.Stderr = output, output
	if err := up.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()
	ending = append(ending, func() error {
		_ = up.Process.Signal(os.Interrupt) // one that has ended is what the wait tells
		select {
		case err := <-ended:
			return errors.Join(err, output.Close())
		case <-time.After(patience):
			return errors.Join(errors.New("up does not end"), up.Process.Kill(), <-ended, postgres.EndLeftover(context.Background(), filepath.Join(data, "postgres")))
		}
	})
	return eventually(func() error {
		select {
		case err := <-ended:
			ended <- err
			said, _ := os.ReadFile(output.Name())
			return &final{fmt.Errorf("up ended: %w: %s", err, said)}
		default:
		}
		run, err := onebox.ReadRun(data)
		if err != nil {
			return err
		}
		shared.url = run.HTTPURL
		shared.database, shared.owner = run.DatabaseURL, run.FirstOwnerURL
		return answers(run.HTTPURL + "/readyz")
	})
}

// startBrowser starts Chromium, which talks to nobody else.
func startBrowser(program, profile string) error {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(profile), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-sync", true), chromedp.Flag("no-first-run", true),
		chromedp.WindowSize(1000, 900),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	browser, cancel := chromedp.NewContext(allocator)
	ending = append(ending, func() error {
		err := chromedp.Cancel(browser) // waits until the browser has gone
		cancel()
		stop()
		return err
	})
	shared.browser = browser
	if err := chromedp.Do(browser); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	return nil
}

// final is an error that trying again does not change.
type final struct{ error }

// eventually repeats check until it returns nil, for patience.
func eventually(check func() error) error {
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); ; {
		err := check()
		var stop *final
		if err == nil || errors.As(err, &stop) {
			return err
		}
		select {
		case <-deadline:
			return err
		case <-tick.C:
		}
	}
}

func answers(url string) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, res.Status, body)
	}
	return nil
}
