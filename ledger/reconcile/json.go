package reconcile

import (
	"encoding/json"
	"io"
	"time"
)

// The report as JSON, for pipelines. Amounts are integers in minor units, times RFC 3339
// in the event's time zone.
type (
	reportJSON struct {
		Since   string `json:"since"`
		Until   string `json:"until"`
		Zone    string `json:"zone"`
		Objects int    `json:"objects"`
		Agree   bool   `json:"agree"`
		// Differences is what the exit status is about; Young may still be on its way.
		Differences []differenceJSON `json:"differences"`
		Young       []differenceJSON `json:"young"`
		Days        []dayJSON        `json:"days"`
	}
	differenceJSON struct {
		Class          Class    `json:"class"`
		ID             string   `json:"id"`
		Kind           string   `json:"kind"`
		Currency       string   `json:"currency"`
		JournalMinor   int64    `json:"journal_minor"`
		ProcessorMinor int64    `json:"processor_minor"`
		Donation       string   `json:"donation,omitempty"`
		Refs           []string `json:"refs"`
		Transactions   []string `json:"transactions"`
		Since          string   `json:"since"`
		AgeSeconds     int64    `json:"age_seconds"`
	}
	dayJSON struct {
		Day            string `json:"day"`
		Currency       string `json:"currency"`
		Class          Class  `json:"class"`
		JournalMinor   int64  `json:"journal_minor"`
		ProcessorMinor int64  `json:"processor_minor"`
		Objects        int    `json:"objects"`
	}
)

// WriteJSON writes the report as one JSON document, with every difference.
func (r *Report) WriteJSON(w io.Writer) error {
	out := reportJSON{
		Since: r.at(r.Since), Until: r.at(r.Until), Zone: r.Zone.String(), Objects: r.Objects, Agree: r.OK(),
		Differences: r.differencesJSON(r.Differences), Young: r.differencesJSON(r.Young), Days: make([]dayJSON, len(r.Days)),
	}
	for i, d := range r.Days {
		out.Days[i] = dayJSON{d.Day, string(d.Currency), d.Class, d.JournalMinor, d.ProcessorMinor, d.Objects}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

func (r *Report) differencesJSON(ds []Difference) []differenceJSON {
	out := make([]differenceJSON, len(ds))
	for i := range ds {
		d := &ds[i]
		out[i] = differenceJSON{
			Class: d.Class, ID: d.ID, Kind: d.Kind(), Currency: string(d.Currency), JournalMinor: d.JournalMinor, ProcessorMinor: d.ProcessorMinor,
			Refs: append([]string{}, d.Refs...), Transactions: append([]string{}, d.Transactions...), Since: r.at(d.Since),
			AgeSeconds: int64(d.Age / time.Second),
		}
		if d.Donation != [16]byte{} {
			out[i].Donation = uuid(d.Donation)
		}
	}
	return out
}
