package bluegreen

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"spillway/deploy/haproxy"
	"spillway/deploy/haproxy/haproxytest"
)

// rig is a real HAProxy before two front-ends, with donors coming.
type rig struct {
	proxy       haproxy.Socket
	blue, green *frontEnd
	donors      atomic.Int64 // answers that were no 200
	proofs      atomic.Int64
}

// frontEnd answers as it is told to.
type frontEnd struct {
	served atomic.Int64
	status atomic.Int64
	delay  atomic.Int64 // nanoseconds
	slow   atomic.Int64 // every so many-th answer takes delay; 0 means each
	books  *sync.Map    // the recorded donations' keys
	loses  atomic.Bool  // answers without recording
}

func (f *frontEnd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/readyz" {
		return
	}
	n := f.served.Add(1)
	if every := f.slow.Load(); every == 0 || n%every == 0 {
		time.Sleep(time.Duration(f.delay.Load())) // the answer's own time
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" && !f.loses.Load() {
		f.books.Store(key, true)
	}
	w.WriteHeader(int(f.status.Load()))
}

func newRig(t *testing.T) *rig {
	t.Helper()
	books := &sync.Map{}
	r := &rig{blue: &frontEnd{books: books}, green: &frontEnd{books: books}}
	r.blue.status.Store(http.StatusOK)
	r.green.status.Store(http.StatusOK)
	blue, green := httptest.NewServer(r.blue), httptest.NewServer(r.green)
	t.Cleanup(blue.Close)
	t.Cleanup(green.Close)
	proxy := haproxytest.Start(t, haproxytest.Options{Blue: strings.TrimPrefix(blue.URL, "http://"), Green: strings.TrimPrefix(green.URL, "http://")})
	r.proxy = proxy.Socket
	haproxytest.Eventually(t, "the proxy answers", func() bool {
		servers, err := r.proxy.Servers(t.Context())
		return err == nil && len(servers) == 6 && servers[0].Up && servers[1].Up // in three backends
	})
	// Donors, until the test ends.
	ctx, cancel := context.WithCancel(context.Background())
	var donors sync.WaitGroup
	for range 4 {
		donors.Go(func() {
			for ctx.Err() == nil {
				request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+proxy.Front+"/v1/donations", nil)
				if err != nil {
					return
				}
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					continue
				}
				_ = response.Body.Close() // read or not, the donor has gone
				if response.StatusCode != http.StatusOK {
					r.donors.Add(1)
				}
			}
		})
	}
	t.Cleanup(func() { cancel(); donors.Wait() })
	return r
}

func (r *rig) weights(t *testing.T) (blue, green int) {
	t.Helper()
	servers, err := r.proxy.Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return servers[0].Weight, servers[1].Weight
}

func (r *rig) config(t *testing.T) Config {
	return Config{From: "blue", To: "green", Steps: []int{10, 50, 100}, Every: 300 * time.Millisecond, Requests: 5, Slower: 1000, Say: t.Logf}
}

// prove gives one donation at each server of the new colour and looks for it in the books:
// in small, what the operator's check does.
func (r *rig) prove(ctx context.Context, servers []haproxy.Server) error {
	for _, s := range servers {
		key := fmt.Sprintf("proof-%d", r.proofs.Add(1))
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Address+"/v1/donations", nil)
		if err != nil {
			return err
		}
		request.Header.Set("Idempotency-Key", key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_ = response.Body.Close() // its status is all
		if _, found := r.green.books.Load(key); response.StatusCode == http.StatusOK && !found {
			return errors.New("accepted and not in the books")
		}
	}
	return nil
}

func TestMove_ToOneThatIsWell(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if err := Move(t.Context(), r.proxy, r.config(t)); err != nil {
		t.Fatal(err)
	}
	if blue, green := r.weights(t); blue != 0 || green != 100 {
		t.Errorf("weights %d and %d", blue, green)
	}
	settled := r.blue.served.Load()
	more := r.green.served.Load() + 50
	haproxytest.Eventually(t, "green serves", func() bool { return r.green.served.Load() > more })
	if after := r.blue.served.Load(); after > settled+8 { // what was under way
		t.Errorf("blue still serves: %d, then %d", settled, after)
	}
	if n := r.donors.Load(); n != 0 {
		t.Errorf("%d donors were not served", n)
	}
}

func TestMove_ReturnsByItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(r *rig, c *Config) context.CancelFunc
		says  string
	}{
		"erring": {func(r *rig, _ *Config) context.CancelFunc { r.green.status.Store(500); return nil }, "failed"},
		// The proxy repeats it at the other colour: no donor sees it, and it counts.
		"asking to come back": {func(r *rig, _ *Config) context.CancelFunc { r.green.status.Store(503); return nil }, "failed"},
		"slow": {func(r *rig, c *Config) context.CancelFunc {
			r.green.delay.Store(int64(500 * time.Millisecond))
			c.Slower, c.Requests = 0.5, 1
			return nil
		}, "took longer than"},
		"slow for one in ten": {func(r *rig, c *Config) context.CancelFunc {
			r.green.delay.Store(int64(700 * time.Millisecond))
			r.green.slow.Store(10)
			c.Slower, c.Requests = 0.5, 30
			return nil
		}, "took longer than"},
		"losing from the start": {func(r *rig, c *Config) context.CancelFunc {
			r.green.loses.Store(true)
			c.Check = r.prove
			return nil
		}, "not in the books"},
		"losing when donors come": {func(r *rig, c *Config) context.CancelFunc {
			c.Check = func(ctx context.Context, servers []haproxy.Server) error {
				err := r.prove(ctx, servers)
				r.green.loses.Store(true)
				return err
			}
			return nil
		}, "not in the books"},
		"not confirmed": {func(_ *rig, c *Config) context.CancelFunc {
			c.Confirm = func(context.Context, int) error { return errors.New("somebody said no") }
			return nil
		}, "somebody said no"},
		"nobody comes": {func(_ *rig, c *Config) context.CancelFunc {
			c.Requests, c.Every = 1<<40, 20*time.Millisecond
			return nil
		}, "are needed to judge it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			config := r.config(t)
			c.spoil(r, &config)
			err := Move(t.Context(), r.proxy, config)
			if !errors.Is(err, ErrReturned) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want one that says %q", err, c.says)
			}
			if blue, green := r.weights(t); blue != 100 || green != 0 {
				t.Errorf("weights %d and %d", blue, green)
			}
		})
	}
}

func TestMove_AbortReturns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	config := r.config(t)
	config.Every = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for deadline := time.Now().Add(30 * time.Second); r.green.served.Load() == 0 && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if err := Move(ctx, r.proxy, config); !errors.Is(err, ErrReturned) || !strings.Contains(err.Error(), "aborted") {
		t.Error(err)
	}
	if blue, green := r.weights(t); blue != 100 || green != 0 || r.green.served.Load() == 0 {
		t.Errorf("weights %d and %d, green served %d", blue, green, r.green.served.Load())
	}
}

func TestMove_RefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"one colour":    {From: "blue", To: "blue"},
		"steps fall":    {From: "blue", To: "green", Steps: []int{50, 10, 100}},
		"steps repeat":  {From: "blue", To: "green", Steps: []int{50, 50, 100}},
		"not to 100":    {From: "blue", To: "green", Steps: []int{10, 50}},
		"errors over 1": {From: "blue", To: "green", Errors: 2},
	} {
		if err := Move(t.Context(), haproxy.Socket{Address: "/nowhere"}, c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Move(t.Context(), haproxy.Socket{Address: "/nowhere"}, Config{From: "blue", To: "green"}); !errors.Is(err, haproxy.ErrProxy) {
		t.Errorf("no proxy: %v", err)
	}
}

// The configuration that is shipped counts by the bounds that this program knows.
func TestTimes_BoundsOfTheShippedConfiguration(t *testing.T) {
	t.Parallel()
	config := haproxytest.Shipped(t, "haproxy.cfg")
	for i, b := range bounds {
		if rule := fmt.Sprintf("http-response sc-inc-gpc(%d,0) if timed { var(txn.took) -m int le %d }\n", i+1, b.Milliseconds()); !strings.Contains(config, rule) {
			t.Errorf("missing: %s", rule)
		}
	}
	if table := fmt.Sprintf("backend answer_times\n    stick-table type string len 64 size 1k store gpc(%d)\n", len(bounds)+1); !strings.Contains(config, table) {
		t.Errorf("missing: %s", table)
	}
}

// answers is a histogram of so many answers at each time.
func answers(at map[time.Duration]int64) times {
	t := make(times, len(bounds)+1)
	for took, n := range at {
		t[0] += n
		for i, b := range bounds {
			if took <= b {
				t[i+1] += n
			}
		}
	}
	return t
}

func TestTimes_Slow(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	old := answers(map[time.Duration]int64{4 * ms: 990, 9 * ms: 9, 400 * ms: 1}) // p99 within 5 ms, so 10 are allowed
	if got := old.p99(); got != 5*ms {
		t.Errorf("p99 %v", got)
	}
	for name, c := range map[string]struct {
		is  times
		bad bool
	}{
		"the same":                 {old, false},
		"all 5 ms above":           {answers(map[time.Duration]int64{9 * ms: 1000}), false},
		"all 11 ms":                {answers(map[time.Duration]int64{11 * ms: 1000}), true},
		"one in a hundred":         {answers(map[time.Duration]int64{4 * ms: 990, 50 * ms: 10}), false},
		"two in a hundred":         {answers(map[time.Duration]int64{4 * ms: 980, 50 * ms: 20}), true},
		"two of a hundred":         {answers(map[time.Duration]int64{4 * ms: 98, 50 * ms: 2}), false},
		"longer than is counted":   {answers(map[time.Duration]int64{4 * ms: 900, time.Hour: 100}), true},
		"nobody":                   {answers(nil), false},
		"since, less what was":     {answers(map[time.Duration]int64{4 * ms: 1000, 50 * ms: 500}).since(answers(map[time.Duration]int64{50 * ms: 500})), false},
		"since, with what is bad":  {answers(map[time.Duration]int64{4 * ms: 1000, 50 * ms: 500}).since(answers(map[time.Duration]int64{4 * ms: 900})), true},
		"old one had nothing slow": {answers(map[time.Duration]int64{9 * ms: 100}), false},
	} {
		if n, bound, bad := c.is.slow(old, 0.5); bad != c.bad || bound != 10*ms {
			t.Errorf("%s: %d above %v, bad %v", name, n, bound, bad)
		}
	}
}

func TestParseTimes(t *testing.T) {
	t.Parallel()
	var counters strings.Builder
	for i := range len(bounds) + 1 {
		fmt.Fprintf(&counters, " gpc%d=%d", i, 100+i)
	}
	head := "# table: answer_times, type: string, size:1024, used:1\n"
	got, err := parseTimes(head + "0x560ed12f3888: key=blue-1 use=0 exp=0" + counters.String() + "\n\n")
	if err != nil || len(got) != 1 || got["blue-1"][0] != 100 || got["blue-1"][len(bounds)] != int64(100+len(bounds)) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := parseTimes("No such table\n\n"); got != nil || err != nil {
		t.Errorf("no table: %v, %v", got, err)
	}
	for _, text := range []string{"", "Permission denied\n", head + "0x1: key=a use=0 exp=0 gpc0=1\n", head + "0x1: key=a" + counters.String() + " gpc77=1\n",
		head + "0x1: key=a" + strings.Replace(counters.String(), "=100", "=99999999999999999999", 1) + "\n"} {
		if got, err := parseTimes(text); !errors.Is(err, haproxy.ErrProxy) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
