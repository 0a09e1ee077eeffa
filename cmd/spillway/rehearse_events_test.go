package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"spillway/loadtest"
	"spillway/loadtest/timeline"
	"spillway/loadtest/trace"
)

// Every recorded event with ten times its donors, through the whole stack:
//
//	go test ./cmd/spillway -run TestRehearse_EveryEvent -timeout 0 -v -events
//
// Its binary is the program that is rehearsed too, so it goes without the race detector.
var (
	events     = flag.Bool("events", false, "rehearse every recorded event with ten times its donors; wants a quiet machine")
	eventsIn   = flag.String("events-in", "../../../shared/data/*/*gifts*.csv.gz", "the recorded events, as a pattern")
	eventsRate = flag.Float64("events-rate", 2000, "gifts a second in the mean, by which each event's speed is chosen")
	eventsMost = flag.Float64("events-most", 0, "gifts in the busiest second, by which an event's speed is lowered; 0 for whatever comes")
)

const (
	eventDonors = 10
	// pacesLifted is a pace, and a limit of the simulated processor, that nothing reaches.
	pacesLifted = 100_000
	// secondsAgreed is the part of the seconds in which asked for and served have to
	// agree: one sync of a disk that takes long moves gifts into the next second.
	secondsAgreed = 0.98
)

// agreement holds what was asked for in each second of the wall against what was
// acknowledged in it.
type agreement struct {
	seconds, agree int
	worst          timeline.Point // the one that is farthest off
	busiest        int64          // gifts asked for in a second
}

// agreementOf compares within 1 % or 10 requests, whichever is more.
func agreementOf(line *timeline.Timeline) (a agreement) {
	off := func(p *timeline.Point) float64 { return math.Abs(float64(p.Planned - p.Accepted)) }
	if line == nil {
		return a
	}
	for _, p := range line.Points {
		if p.Planned == 0 && p.Accepted == 0 {
			continue
		}
		a.seconds++
		a.busiest = max(a.busiest, int64(float64(p.Planned)/max(p.For.Seconds(), 1)))
		if off(&p) <= max(10, 0.01*float64(p.Planned)) {
			a.agree++
		}
		if off(&p) > off(&a.worst) {
			a.worst = p
		}
	}
	return a
}

func TestAgreementOf_ComparesEachSecond(t *testing.T) {
	t.Parallel()
	point := func(planned, accepted int64) timeline.Point {
		return timeline.Point{For: time.Second, Planned: planned, Accepted: accepted}
	}
	a := agreementOf(&timeline.Timeline{Points: []timeline.Point{point(100, 90), point(100, 111), point(5000, 4950), point(5000, 5051), point(0, 0), point(0, 11)}})
	if a.seconds != 5 || a.agree != 2 || a.worst.Planned != 5000 || a.worst.Accepted != 5051 || a.busiest != 5000 {
		t.Errorf("%+v", a)
	}
}

// speedOf is how much faster an event is replayed for its gifts to come at this mean
// rate, or slower than that for no second to have more than most.
func speedOf(source trace.Source, rate, most float64) (speed float64, err error) {
	speed = source.Span().Seconds() * rate / float64(source.Rows())
	if most <= 0 {
		return speed, nil
	}
	var at []time.Duration
	stream, err := source.Open()
	if err != nil {
		return 0, err
	}
	rows := make([]trace.Row, 4096)
	for err == nil {
		var n int
		n, err = stream.Next(rows)
		for _, r := range rows[:n] {
			at = append(at, r.Planned)
		}
	}
	if err = errors.Join(stream.Close(), except(err, io.EOF)); err != nil {
		return 0, err
	}
	for busiest(at, speed) > most {
		speed /= 1.02
	}
	return speed, nil
}

// except is err, unless it is that one.
func except(err, one error) error {
	if errors.Is(err, one) {
		return nil
	}
	return err
}

// busiest is how many of these moments fall into one second of the wall.
func busiest(at []time.Duration, speed float64) float64 {
	most, n, second := 0, 0, int64(-1)
	for _, d := range at {
		if s := int64(d.Seconds() / speed); s != second {
			second, n = s, 0
		}
		n++
		most = max(most, n)
	}
	return float64(most)
}

func TestRehearse_EveryEventWithTenTimesItsDonors(t *testing.T) {
	if !*events {
		t.Skip("-events rehearses every recorded event; it takes long")
	}
	files, err := filepath.Glob(*eventsIn)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d events, %v", *eventsIn, len(files), err)
	}
	begun := time.Now()
	for i, file := range files {
		recorded, err := trace.Scan(file, trace.Options{})
		if err != nil {
			t.Fatal(err)
		}
		source, err := trace.NewDonors(recorded, eventDonors, trace.DonorsSpread)
		if err != nil {
			t.Fatal(err)
		}
		speed, err := speedOf(source, *eventsRate, *eventsMost)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(os.Stderr, "%s event %d of %d: %s, %d gifts, %.1f times as fast: %v of sending\n", time.Since(begun).Round(time.Second), i+1, len(files),
			filepath.Base(file), source.Rows(), speed, time.Duration(float64(source.Span())/speed).Round(time.Second))
		t.Run(filepath.Base(file), func(t *testing.T) { rehearseEvent(t, file, speed, source.Rows()) })
	}
}

// rehearseEvent rehearses one event and says in a line what came of it.
func rehearseEvent(t *testing.T, file string, speed float64, gifts int64) {
	into := filepath.Join(t.TempDir(), "report.json")
	c := start(t, nil, os.Stderr, "rehearse", "--replay", file, "--donors", strconv.Itoa(eventDonors), "--speed", strconv.FormatFloat(speed, 'f', 3, 64),
		"--pace", strconv.Itoa(pacesLifted), "--json", into, "--html", strings.TrimSuffix(into, jsonSuffix)+pageSuffix)
	<-c.done
	content, err := os.ReadFile(into)
	var r loadtest.Report
	if err == nil {
		err = json.Unmarshal(content, &r)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, &c.stdout)
	}
	a := agreementOf(r.Timeline)
	verdict := "the proof holds"
	if !r.Holds {
		verdict = fmt.Sprintf("THE PROOF DOES NOT HOLD: %q", r.Failures)
	}
	charged := "nothing charged"
	if r.Charging != nil {
		charged = fmt.Sprintf("charged %v after the last", r.Charging.WaitFor.Round(time.Second))
	}
	t.Logf("%s: %d gifts of %d in %v: %.0f/s asked for, %.0f/s acknowledged, busiest second %d; %d of %d seconds agree within 1 %% or 10, worst %d asked for and %d served at %v; %s; %s",
		filepath.Base(file), r.Sending.Sent, gifts, r.Sending.For.Round(time.Second), r.Sending.SentRate, r.Sending.AckRate, a.busiest, a.agree, a.seconds,
		a.worst.Planned, a.worst.Accepted, a.worst.From, charged, verdict)
	if !r.Holds || r.Sending.Sent != gifts || r.Sending.Accepted != gifts {
		t.Errorf("sent %d, accepted %d of %d; %q", r.Sending.Sent, r.Sending.Accepted, gifts, r.Failures)
	}
	if float64(a.agree) < secondsAgreed*float64(a.seconds) {
		t.Errorf("asked for and served agree in %d of %d seconds", a.agree, a.seconds)
	}
}
