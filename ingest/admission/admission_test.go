package admission_test

import (
	"math"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/ingest/admission"
)

var (
	start  = time.Date(2026, 11, 22, 18, 0, 0, 0, time.UTC)
	nobody = netip.MustParseAddr("192.0.2.1")
)

func limiter(t testing.TB, c admission.LimiterConfig) *admission.Limiter {
	t.Helper()
	l, err := admission.NewLimiter(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLimiter_BurstThenSteadyRate(t *testing.T) {
	l := limiter(t, admission.LimiterConfig{Default: admission.Rate{PerSecond: 10, Burst: 5}})
	now := start
	allow := func() bool { _, ok := l.Allow(7, nobody, now); return ok }
	for i := range 5 {
		if !allow() {
			t.Fatalf("donation %d of the burst refused", i)
		}
	}
	wait, ok := l.Allow(7, nobody, now)
	if ok || wait != 100*time.Millisecond {
		t.Fatalf("after the burst: %v, %v, want a wait of 100 ms", wait, ok)
	}
	now = now.Add(wait - 1)
	if allow() {
		t.Error("allowed a nanosecond early")
	}
	now = now.Add(1)
	if !allow() || allow() {
		t.Error("after the wait: want exactly one")
	}
	now = now.Add(time.Hour)
	n := 0
	for allow() {
		n++
	}
	if n != 5 {
		t.Errorf("after an hour: %d at once, want the burst and no more", n)
	}
	if _, ok := l.Allow(8, nobody, now); !ok {
		t.Error("another client pays for the first")
	}
}

func TestLimiter_ClockSetBackLocksNobodyOut(t *testing.T) {
	l := limiter(t, admission.LimiterConfig{Default: admission.Rate{PerSecond: 10, Burst: 5}})
	for range 5 {
		l.Allow(7, nobody, start)
	}
	earlier := start.Add(-time.Hour)
	wait, ok := l.Allow(7, nobody, earlier)
	if ok || wait != 100*time.Millisecond {
		t.Fatalf("after the clock was set back an hour: %v, %v, want a wait of 100 ms", wait, ok)
	}
	if _, ok := l.Allow(7, nobody, earlier.Add(wait)); !ok {
		t.Error("still refused after the wait")
	}
}

// Over any time, no client gets more than its burst and its rate, and one that
// keeps to its rate is never refused.
func TestLimiter_HoldsTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := admission.Rate{PerSecond: rapid.Float64Range(0.5, 1000).Draw(t, "rate"), Burst: rapid.IntRange(1, 50).Draw(t, "burst")}
		l, err := admission.NewLimiter(admission.LimiterConfig{Default: rate})
		if err != nil {
			t.Fatal(err)
		}
		now, allowed := start, 0
		for _, pause := range rapid.SliceOfN(rapid.Int64Range(0, int64(2*time.Second)), 1, 300).Draw(t, "pauses") {
			now = now.Add(time.Duration(pause))
			wait, ok := l.Allow(1, nobody, now)
			if ok {
				allowed++
			} else if wait <= 0 {
				t.Fatalf("refused with a wait of %v", wait)
			}
			most := float64(rate.Burst) + now.Sub(start).Seconds()*rate.PerSecond*1.000001 + 1
			if float64(allowed) > most {
				t.Fatalf("%d allowed after %v, at most %v", allowed, now.Sub(start), most)
			}
			if least := math.Ceil(1e9 / rate.PerSecond); float64(pause) > least && !ok {
				t.Fatalf("refused after a pause of %v at %v per second", time.Duration(pause), rate.PerSecond)
			}
		}
	})
}

func TestLimiter_KnownNetworksHaveTheirOwnRate(t *testing.T) {
	l := limiter(t, admission.LimiterConfig{
		Default: admission.Rate{PerSecond: 1, Burst: 1},
		Networks: []admission.Network{
			{Prefix: netip.MustParsePrefix("198.51.100.0/24"), Rate: admission.Rate{PerSecond: 1, Burst: 3}},
			{Prefix: netip.MustParsePrefix("198.51.100.128/25"), Rate: admission.Rate{PerSecond: 1, Burst: 7}},
			{Prefix: netip.MustParsePrefix("2001:db8::/32"), Rate: admission.Rate{PerSecond: 1, Burst: 4}},
		},
	})
	source := uint64(0)
	for addr, want := range map[string]int{"192.0.2.1": 1, "198.51.100.1": 3, "198.51.100.200": 7, "::ffff:198.51.100.200": 7, "2001:db8::1": 4, "2001:db9::1": 1} {
		source++
		n := 0
		for ; n < 100; n++ {
			if _, ok := l.Allow(source, netip.MustParseAddr(addr), start); !ok {
				break
			}
		}
		if n != want {
			t.Errorf("%s: %d at once, want %d", addr, n, want)
		}
	}
}

// A table that overflows forgets the clients that have been idle longest, and
// never grows.
func TestLimiter_ForgetsTheIdlest(t *testing.T) {
	l := limiter(t, admission.LimiterConfig{Default: admission.Rate{PerSecond: 1, Burst: 2}, Clients: 1})
	const sets = 64 // the least table: one set in each shard
	source := func(i uint64) uint64 { return i*sets + 5 }
	for i := range uint64(8) {
		l.Allow(source(i), nobody, start.Add(time.Duration(i)))
		l.Allow(source(i), nobody, start.Add(time.Duration(i)))
	}
	if _, ok := l.Allow(source(0), nobody, start.Add(8)); ok {
		t.Fatal("a client in a table that is just full was forgotten")
	}
	l.Allow(source(8), nobody, start.Add(9)) // displaces the idlest, client 0
	if _, ok := l.Allow(source(1), nobody, start.Add(10)); ok {
		t.Error("a busier client was forgotten")
	}
	if _, ok := l.Allow(source(0), nobody, start.Add(11)); !ok {
		t.Error("the idlest was not forgotten")
	}
}

func TestLimiter_ManyClientsAtOnce(t *testing.T) {
	l := limiter(t, admission.LimiterConfig{Default: admission.Rate{PerSecond: 1, Burst: 10}})
	var wg sync.WaitGroup
	allowed := make([]int, 4)
	for g := range allowed {
		wg.Go(func() {
			for range 1000 {
				if _, ok := l.Allow(42, nobody, start); ok {
					allowed[g]++
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range allowed {
		sum += n
	}
	if sum != 10 {
		t.Errorf("%d allowed by four at once, want the burst of 10", sum)
	}
}

func TestSlots_NeverMoreThanMax(t *testing.T) {
	slots := admission.NewSlots(3)
	for i := range 3 {
		if !slots.Take() {
			t.Fatalf("slot %d refused", i)
		}
	}
	if slots.Take() || slots.Taken() != 3 {
		t.Fatal("a fourth was given")
	}
	slots.Give()
	if !slots.Take() {
		t.Fatal("a slot that was given back is lost")
	}
	slots = admission.NewSlots(2)
	var wg sync.WaitGroup
	var mu sync.Mutex
	inside, most := 0, 0
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				if !slots.Take() {
					continue
				}
				mu.Lock()
				inside++
				most = max(most, inside)
				mu.Unlock()
				mu.Lock()
				inside--
				mu.Unlock()
				slots.Give()
			}
		})
	}
	wg.Wait()
	if most > 2 || slots.Taken() != 0 {
		t.Errorf("%d inside at once, %d left", most, slots.Taken())
	}
}

func TestProxies_Client(t *testing.T) {
	p, err := admission.NewProxies([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ remote, forwarded, want string }{
		{"192.0.2.1", "", "192.0.2.1"},
		{"192.0.2.1", "203.0.113.9", "192.0.2.1"}, // a stranger's word
		{"10.0.0.1", "", "10.0.0.1"},
		{"10.0.0.1", "203.0.113.9", "203.0.113.9"},
		{"::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"},
		{"fd00::1", "2001:db8::1", "2001:db8::1"},
		{"10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"}, // what the client wrote itself stands before
		{"10.0.0.1", "1.1.1.1,203.0.113.9 ,\t10.0.0.2", "203.0.113.9"},
		{"10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"}, // nobody but us
		{"10.0.0.1", "203.0.113.9:4711", "203.0.113.9"},
		{"10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"},
		{"10.0.0.1", "[2001:db8::1]", "2001:db8::1"},
		{"10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"},
		{"10.0.0.1", "unknown", "10.0.0.1"},
		{"10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"}, // behind what cannot be read nothing is believed
		{"10.0.0.1", "203.0.113.9, junk, 10.0.0.2", "10.0.0.2"},
		{"10.0.0.1", ",", "10.0.0.1"},
		{"10.0.0.1", "203.0.113.9,", "10.0.0.1"},
		{"10.0.0.1", "[203.0.113.9]", "10.0.0.1"},
		{"10.0.0.1", "203.0.113.09", "10.0.0.1"},
		{"10.0.0.1", strings.Repeat("10.0.0.1,", 5000) + "10.0.0.1", "10.0.0.1"},
	} {
		got := p.Client(netip.MustParseAddr(c.remote), c.forwarded)
		if got != netip.MustParseAddr(c.want) {
			t.Errorf("from %s forwarded for %.40q: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
	var none admission.Proxies
	if got := none.Client(nobody, "203.0.113.9"); got != nobody {
		t.Errorf("without proxies: %s", got)
	}
}

func FuzzForwarded(f *testing.F) {
	p, err := admission.NewProxies([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("203.0.113.9, 10.0.0.2")
	f.Add("[2001:db8::1]:4711")
	f.Add("fe80::1%eth0")
	f.Fuzz(func(t *testing.T, forwarded string) {
		remote := netip.MustParseAddr("10.0.0.1")
		got := p.Client(remote, forwarded)
		if !got.IsValid() || got.Is4In6() {
			t.Fatalf("%q: %v", forwarded, got)
		}
		// What stands before the first stranger changes nothing.
		if !p.Trusts(got) {
			if again := p.Client(remote, "1.2.3.4, "+forwarded); again != got {
				t.Fatalf("%q: %v, with a lie in front %v", forwarded, got, again)
			}
		}
	})
}

func TestNew_SaysEverythingThatIsWrong(t *testing.T) {
	if _, err := admission.New(admission.Config{}); err != nil {
		t.Fatalf("the zero value: %v", err)
	}
	_, err := admission.New(admission.Config{
		Donations: -1, Reads: 1 << 30, Waits: -2,
		TrustedProxies: make([]netip.Prefix, 1),
		Limiter: admission.LimiterConfig{
			Default:  admission.Rate{PerSecond: math.NaN(), Burst: 1},
			Networks: []admission.Network{{Rate: admission.Rate{PerSecond: 1, Burst: 0}}},
			Clients:  -1,
		},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"donations", "reads", "waits", "proxy", "default", "network", "clients"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not tell of %s", err, want)
		}
	}
}

func BenchmarkAllow(b *testing.B) {
	l, err := admission.NewLimiter(admission.LimiterConfig{})
	if err != nil {
		b.Fatal(err)
	}
	now := start
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		now = now.Add(time.Microsecond)
		l.Allow(i*0x9e3779b97f4a7c15, nobody, now)
	}
}
