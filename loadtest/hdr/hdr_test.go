package hdr

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

const digits = 3

// TestMerge_IsOneProcessOnTheSameSamples shares samples out over several histograms,
// encodes and merges these, and wants every percentile of the one that had them all.
func TestMerge_IsOneProcessOnTheSameSamples(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.IntRange(1, 2).Draw(t, "digits") // three cost ten times the memory
		one, parts := New(digits), make([]*hdrhistogram.Histogram, rapid.IntRange(1, 3).Draw(t, "generators"))
		for i := range parts {
			parts[i] = New(digits)
		}
		for range rapid.IntRange(0, 100).Draw(t, "samples") {
			// Up to far beyond the hour, most of them short.
			d := time.Duration(rapid.Int64Range(-1, 1<<rapid.IntRange(1, 43).Draw(t, "bits")).Draw(t, "ns"))
			Note(one, d)
			Note(parts[rapid.IntRange(0, len(parts)-1).Draw(t, "to")], d)
		}
		merged := New(digits)
		for _, p := range parts {
			text, err := Encode(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := Merge(merged, text, digits); err != nil {
				t.Fatal(err)
			}
		}
		wantSame(t, merged, one)
	})
}

type failer interface {
	Fatalf(format string, args ...any)
}

// wantSame compares every percentile that is ever told, and the counts below them.
func wantSame(t failer, got, want *hdrhistogram.Histogram) {
	if got.TotalCount() != want.TotalCount() || got.Min() != want.Min() || got.Max() != want.Max() {
		t.Fatalf("%d samples %d..%d, want %d samples %d..%d", got.TotalCount(), got.Min(), got.Max(), want.TotalCount(), want.Min(), want.Max())
	}
	for _, q := range []float64{0, 1, 25, 50, 90, 99, 99.9, 99.99, 100} {
		if g, w := got.ValueAtQuantile(q), want.ValueAtQuantile(q); g != w {
			t.Fatalf("p%g is %d, of one process %d", q, g, w)
		}
	}
	if !got.Equals(want) {
		t.Fatalf("the counts differ")
	}
}

// asGenerator makes the test binary a process that records every nth sample, beginning
// with the one that the variable names, and prints its histogram.
const asGenerator = "TEST_BINARY_IS_GENERATOR"

// sample is the i-th of a long-tailed row of waits.
func sample(i int) time.Duration {
	x := uint64(i+1) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	return time.Duration(x%1000) * time.Microsecond << (x >> 10 % 14)
}

const samples, generators = 20_000, 2

func TestMain(m *testing.M) {
	if of := os.Getenv(asGenerator); of != "" {
		first, err := strconv.Atoi(of)
		h := New(digits)
		for i := first; i < samples; i += generators {
			Note(h, sample(i))
		}
		text, errEncode := Encode(h)
		if err := errors.Join(err, errEncode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(text)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestMerge_OfTwoProcesses is the same with real processes.
func TestMerge_OfTwoProcesses(t *testing.T) {
	t.Parallel()
	one, merged := New(digits), New(digits)
	for i := range samples {
		Note(one, sample(i))
	}
	for g := range generators {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), asGenerator+"="+strconv.Itoa(g))
		out, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		text, err := bufio.NewReader(strings.NewReader(string(out))).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if err := Merge(merged, strings.TrimSpace(text), digits); err != nil {
			t.Fatal(err)
		}
	}
	wantSame(t, merged, one)
	if p50, p99 := one.ValueAtQuantile(50), one.ValueAtQuantile(99); p50 == p99 {
		t.Errorf("p50 and p99 are both %d: these samples say nothing", p50)
	}
}

func TestDecode_RefusesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	encoded := func(h *hdrhistogram.Histogram) string {
		if err := h.RecordValue(5); err != nil {
			t.Fatal(err)
		}
		text, err := Encode(h)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	whole := encoded(New(digits))
	many := New(digits)
	if err := many.RecordValues(7, countMax); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"words":            "words",
		"cut off":          whole[:len(whole)/2],
		"other digits":     encoded(New(digits - 1)),
		"another range":    encoded(hdrhistogram.New(1, 1000, digits)),
		"another least":    encoded(hdrhistogram.New(4, mostMicros, digits)),
		"too many samples": encoded(many),
		"too long":         strings.Repeat("A", EncodedBytesMax+1),
	} {
		if err := Merge(New(digits), text, digits); !errors.Is(err, ErrHistogram) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if h, err := Decode("", digits); err != nil || h.TotalCount() != 0 {
		t.Errorf("nothing: %v", err)
	}
}

// FuzzDecode has few digits, so that an input costs kilobytes.
func FuzzDecode(f *testing.F) {
	const digits = 1
	h := New(digits)
	f.Add("")
	for i := range 10 {
		Note(h, sample(i))
		text, err := Encode(h)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		into := New(digits)
		if err := Merge(into, text, digits); err != nil {
			if !errors.Is(err, ErrHistogram) {
				t.Fatal(err)
			}
			return
		}
		again, err := Encode(into)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(again, digits)
		if err != nil || !back.Equals(into) {
			t.Fatalf("read back: %v", err)
		}
	})
}
