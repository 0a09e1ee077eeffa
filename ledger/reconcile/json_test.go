package reconcile

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"spillway/ledger/journal"
	"spillway/ledger/payments"
)

// What a pipeline reads says the same as what a person reads, with every difference.
func TestReport_WriteJSON(t *testing.T) {
	read := func(r *Report) (got reportJSON) {
		t.Helper()
		var b bytes.Buffer
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(&b)
		d.DisallowUnknownFields()
		if err := d.Decode(&got); err != nil {
			t.Fatal(err)
		}
		return got
	}
	w := aDay(t)
	whole := read(w.run(w.today()))
	if !whole.Agree || whole.Differences == nil || len(whole.Differences) != 0 || whole.Objects == 0 || len(whole.Days) == 0 || whole.Zone != "UTC" {
		t.Errorf("a day that agrees: %+v", whole)
	}

	// A gift that the processor does not know of.
	w = aDay(t)
	lost := w.entries[slices.IndexFunc(w.entries, func(e journal.Entry) bool { return objectOf(&e).class == Charge })]
	w.movements = slices.DeleteFunc(w.movements, func(m payments.Movement) bool { return m.Source == objectOf(&lost).id && classOf(&m) == Charge })
	r := w.run(w.today())
	got := read(r)
	if got.Agree || len(got.Differences) != len(r.Differences) || len(got.Differences) == 0 {
		t.Fatalf("%d differences of %d, agree: %v", len(got.Differences), len(r.Differences), got.Agree)
	}
	i := slices.IndexFunc(got.Differences, func(d differenceJSON) bool { return d.ID == objectOf(&lost).id })
	if i < 0 {
		t.Fatalf("%s is not named: %+v", objectOf(&lost).id, got.Differences)
	}
	d := got.Differences[i]
	if d.Kind != "missing_at_processor" || d.JournalMinor == 0 || d.ProcessorMinor != 0 || d.Donation != uuid(lost.Donation) ||
		len(d.Refs) != 1 || d.Transactions == nil || d.AgeSeconds <= 0 || !strings.HasPrefix(d.Since, noon.Format("2006-01-02T")) {
		t.Errorf("%+v", d)
	}
}
