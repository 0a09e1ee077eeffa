package trace_test

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spillway/ingest"
	"spillway/ingest/trace"
	"spillway/ingest/trace/tracetest"
)

func drawContext(t *rapid.T) trace.Context {
	c := trace.Context{Sampled: rapid.Bool().Draw(t, "sampled")}
	c.Trace[rapid.IntRange(0, 15).Draw(t, "at")] = rapid.ByteRange(1, 255).Draw(t, "trace")
	c.Span[rapid.IntRange(0, 7).Draw(t, "place")] = rapid.ByteRange(1, 255).Draw(t, "span")
	return c
}

func TestContext_RoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawContext(t)
		if got, ok := trace.ParseBinary(c.AppendBinary(nil)); !ok || got != c {
			t.Fatalf("binary: %v %v, want %v", got, ok, c)
		}
		text := c.AppendTraceparent(nil)
		if got, ok := trace.ParseTraceparent(text); !ok || got != c {
			t.Fatalf("%s: %v %v, want %v", text, got, ok, c)
		}
	})
}

// The examples and the rules are those of W3C Trace Context, section 3.2.2.
func TestParseTraceparent(t *testing.T) {
	const id, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for text, want := range map[string]bool{
		"00-" + id + "-" + span + "-01":                      true,
		"00-" + id + "-" + span + "-00":                      true,
		"00-" + id + "-" + span + "-ff":                      true, // flags that are not known yet
		"cc-" + id + "-" + span + "-01-what-comes-later":     true, // a later version
		"cc-" + id + "-" + span + "-01":                      true,
		"cc-" + id + "-" + span + "-01.later":                false,
		"00-" + id + "-" + span + "-01-more":                 false,
		"ff-" + id + "-" + span + "-01":                      false,
		"00-" + strings.ToUpper(id) + "-" + span + "-01":     false,
		"00-" + strings.Repeat("0", 32) + "-" + span + "-01": false,
		"00-" + id + "-" + strings.Repeat("0", 16) + "-01":   false,
		"00-" + id + "-" + span + "-0g":                      false,
		"00_" + id + "-" + span + "-01":                      false,
		"00-" + id + "-" + span + "-0":                       false,
		"":                                                   false,
	} {
		c, ok := trace.ParseTraceparent([]byte(text))
		if ok != want {
			t.Errorf("%q: %v, want %v", text, ok, want)
		}
		if ok && c.Trace.String() != id {
			t.Errorf("%q: trace %s", text, c.Trace)
		}
	}
}

func FuzzParseTraceparent(f *testing.F) {
	f.Add([]byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, ok := trace.ParseTraceparent(b)
		if !ok {
			return
		}
		again, ok := trace.ParseTraceparent(c.AppendTraceparent(nil))
		if !ok || again != c {
			t.Errorf("%q: %v, then %v", b, c, again)
		}
	})
}

// Whoever has a donation's ID has its trace: without dashes it is the trace's ID.
func TestDonation_IsItsTrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := ingest.DeriveID([]byte(rapid.StringN(16, 16, 64).Draw(t, "key")))
		root, first, second := trace.Donation(id), trace.Charge(id, 1), trace.Charge(id, 2)
		if root.Trace.String() != strings.ReplaceAll(id.String(), "-", "") {
			t.Fatalf("%s is traced as %s", id, root.Trace)
		}
		if first.Trace != root.Trace || first.Span == second.Span || first.Span == root.Span {
			t.Fatalf("%v, charges %v and %v", root, first, second)
		}
		for _, c := range []trace.Context{root, first, second, trace.Event("evt_1")} {
			if c.Trace == (trace.ID{}) || c.Span == (trace.SpanID{}) {
				t.Fatalf("%v is no place", c)
			}
		}
	})
}

// A part of the donations is that part, the same for everybody, and a larger part
// holds the smaller one.
func TestSampler_TakesItsPartOfDonations(t *testing.T) {
	const donations, part = 20_000, 0.1
	small, large := trace.Part(part), trace.Part(2*part)
	taken, of := 0, 0
	for i := range donations {
		id := trace.ID(ingest.DeriveID([]byte("a-key-of-a-donor-" + strconv.Itoa(i))))
		if small.Samples(id) {
			taken++
			if !large.Samples(id) {
				t.Fatal("the larger part leaves out what the smaller one has")
			}
		}
		if large.Samples(id) {
			of++
		}
		if trace.Part(0).Samples(id) || !trace.Part(1).Samples(id) || (trace.Sampler{}).Samples(id) {
			t.Fatal("none is not none, or all is not all")
		}
	}
	// Six standard deviations: the keys are fixed, so this never changes by itself.
	if off := math.Abs(float64(taken) - part*donations); off > 6*math.Sqrt(donations*part*(1-part)) {
		t.Errorf("%d of %d, want a tenth", taken, donations)
	}
	if of <= taken {
		t.Errorf("a fifth are %d, a tenth are %d", of, taken)
	}
	if trace.Part(1).Samples(trace.ID{}) {
		t.Error("no trace is sampled")
	}
}

func TestParseSampler(t *testing.T) {
	id := trace.ID(ingest.DeriveID([]byte("0123456789abcdef")))
	for _, test := range []struct {
		name, part string
		all, none  bool
	}{
		{"always_on", "", true, false}, {"parentbased_always_on", "", true, false},
		{"always_off", "", false, true}, {"parentbased_always_off", "", false, true},
		{"traceidratio", "", true, false}, {"parentbased_traceidratio", "1", true, false}, {"traceidratio", "0", false, true},
	} {
		s, err := trace.ParseSampler(test.name, test.part)
		if err != nil || s.Samples(id) != test.all || s.Samples(id) == test.none {
			t.Errorf("%s %s: %v, %v", test.name, test.part, s.Samples(id), err)
		}
	}
	for _, bad := range [][2]string{{"", ""}, {"jaeger_remote", ""}, {"traceidratio", "half"}, {"traceidratio", "1.5"}, {"traceidratio", "-1"}, {"traceidratio", "NaN"}} {
		if _, err := trace.ParseSampler(bad[0], bad[1]); !errors.Is(err, trace.ErrSampler) {
			t.Errorf("%v was taken: %v", bad, err)
		}
	}
}

// Nothing else can be said of a donation: this list is what operators are told.
func TestKeys_AreThese(t *testing.T) {
	want := strings.Fields(`http.request.method http.route http.response.status_code error.type spillway.donation.id spillway.book
		spillway.donation.lines messaging.destination.name messaging.batch.message_count spillway.batch.records
		spillway.attempt spillway.call spillway.outcome spillway.event.type`)
	var got []string
	for _, k := range trace.Keys() {
		got = append(got, k.String())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("keys are %v, want %v: a new one must say nothing about a person, and stand in deploy/README.md", got, want)
	}
}

func TestTracer_BoundsLinks(t *testing.T) {
	var sink tracetest.Sink
	tracer := trace.New("test", trace.Part(1), &sink)
	tracer.Record(trace.Span{Name: "batch", Links: make([]trace.Context, trace.LinksMax+3), LinksDropped: 4})
	if s := sink.Spans()[0]; len(s.Links) != trace.LinksMax || s.LinksDropped != 7 || s.Service != "test" || !s.Context.Sampled {
		t.Errorf("%d links, %d dropped, %+v", len(s.Links), s.LinksDropped, s.Context)
	}
}

// The tracer of a process that traces nothing.
func TestTracer_OffCostsNothing(t *testing.T) {
	var off *trace.Tracer
	id := trace.ID(ingest.DeriveID([]byte("0123456789abcdef")))
	if off.On() || off.Samples(id) {
		t.Error("off is on")
	}
	if n := testing.AllocsPerRun(100, func() {
		if off.Samples(id) {
			off.Record(trace.Span{})
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	off.Record(trace.Span{})
}
