package visit

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"spillway/loadtest/hdr"
)

// TestMerge_IsOneGeneratorWithTheSameVisits shares what happens out over two.
func TestMerge_IsOneGeneratorWithTheSameVisits(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		one := &Visitors{log: newJournal()}
		several := []*Visitors{{log: newJournal()}, {log: newJournal()}}
		for range rapid.IntRange(1, 20).Draw(t, "events") {
			to := several[rapid.IntRange(0, 1).Draw(t, "to")]
			d := time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "d"))
			status := rapid.SampledFrom([]int{0, 200, 304, 429, 503}).Draw(t, "status")
			what, bytes := rapid.IntRange(0, 6).Draw(t, "what"), rapid.Int64Range(0, 1e6).Draw(t, "bytes")
			for _, v := range []*Visitors{one, to} {
				switch what {
				case 0:
					v.schedule.planned++
					v.schedule.donors++
					v.log.began()
				case 1:
					v.log.lost()
					v.log.full()
				case 2:
					v.log.late(d)
				case 3:
					v.log.age(d)
				case 4:
					v.log.opened(status, d)
				case 5:
					v.log.streamed(bytes, 3*bytes)
				case 6:
					v.log.request(bytes%2 == 0, status, d, d/2, bytes)
					v.schedule.leftOut++
				}
			}
		}
		var others []*Tally
		for _, v := range several[1:] {
			tally, err := v.Tally()
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(tally)
			if err != nil {
				t.Fatal(err)
			}
			sent := &Tally{}
			if err := json.Unmarshal(text, sent); err != nil {
				t.Fatal(err)
			}
			others = append(others, sent)
		}
		got, err := several[0].Merge(others...)
		if want := one.Report(); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\nmerged\n%+v\nof one\n%+v", err, got, want)
		}
	})
}

func TestMerge_RefusesWhatIsNoHistogram(t *testing.T) {
	t.Parallel()
	v := &Visitors{log: newJournal()}
	if _, err := v.Merge(&Tally{Ages: "x"}); !errors.Is(err, hdr.ErrHistogram) {
		t.Error(err)
	}
}
