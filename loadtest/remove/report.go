package remove

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"spillway/ingest/broker"
)

// Table is a table and how many rows of it are, or were.
type Table struct {
	Name string // with its schema
	Rows int64
}

// Plan is what there is of rehearsals.
type Plan struct {
	Tables        []Table  // of the rehearsals' schemas, empty ones too
	Campaigns     []string // slugs, sorted
	Organisations []string // that rehearsals alone name, sorted
	Runs          []string // sorted
	AmountMinor   int64    // of all donations, currencies added up
	// FirstAt and LastAt are when donors gave; zero when nobody did.
	FirstAt, LastAt time.Time
	Broker          broker.Rehearsals

	lastSlot int32
}

// Empty tells whether nothing is there of a rehearsal. What processes say of their empty
// slots is nothing.
func (p *Plan) Empty() bool {
	return p.rows() == 0 && len(p.Campaigns) == 0 && p.Broker.Donations == 0 && p.Broker.Commands == 0 && len(p.Broker.Campaigns) == 0 && len(p.Broker.Walls) == 0
}

func (p *Plan) rows() (n int64) {
	for _, t := range p.Tables {
		n += t.Rows
	}
	return n
}

// Compared says how much was held against what it was.
type Compared struct {
	Tables int
	Rows   int64
	Unread []string // tables that this login may not read
}

// Left is what was found at the end.
type Left struct {
	Rows     int64
	Messages uint64
}

// Report is what a removal did and proved.
type Report struct {
	Plan          *Plan
	Removed       []Table
	Campaigns     int
	Organisations []string
	LastSlot      int32 // the highest number of a slot that has ended
	Epoch         int64 // that the rehearsals' book has since
	Compared      Compared
	Streams       int // compared
	Left          Left
	Proven        bool

	removed []string // campaigns of the database, slugs
}

// Write prints what there is, for people.
func (p *Plan) Write(out io.Writer) error {
	if p.Empty() {
		_, err := fmt.Fprintln(out, "Nothing of a rehearsal is there.")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	line("Rehearsals:\t%s", orNone(p.Runs, 10))
	if !p.FirstAt.IsZero() {
		line("Gifts:\t%s to %s", p.FirstAt.Format(time.RFC3339), p.LastAt.Format(time.RFC3339))
	}
	line("Campaigns:\t%d in the database, %d on the broker, %d walls", len(p.Campaigns), len(p.Broker.Campaigns), len(p.Broker.Walls))
	line("Organisations:\t%s", orNone(p.Organisations, 10))
	line("Messages:\t%d of donors, %d of people", p.Broker.Donations, p.Broker.Commands)
	for _, t := range p.Tables {
		if t.Rows > 0 {
			line("%s\t%d rows", t.Name, t.Rows)
		}
	}
	return w.Flush()
}

func orNone(names []string, most int) string {
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// Booked is how many entries of the journal were removed: money that moved at a simulated
// processor, which remembers it.
func (r *Report) Booked() (n int64) {
	for _, t := range r.Removed {
		if t.Name == "rehearsal.entries" {
			n += t.Rows
		}
	}
	return n
}

// Write prints what was removed and what proves it, for people.
func (r *Report) Write(out io.Writer) error {
	var rows int64
	for _, t := range r.Removed {
		rows += t.Rows
	}
	w := &strings.Builder{}
	fmt.Fprintf(w, "Removed: %d rows of %d tables, %d campaigns, %d messages of donors and %d of people.\n",
		rows, len(r.Removed), r.Campaigns, r.Plan.Broker.Donations, r.Plan.Broker.Commands)
	if len(r.Organisations) > 0 {
		fmt.Fprintf(w, "Organisations that rehearsals alone named went with them: %s.\n", orNone(r.Organisations, 10))
	}
	fmt.Fprintf(w, "Left of rehearsals: %d rows, %d messages.\n", r.Left.Rows, r.Left.Messages)
	if r.Proven {
		fmt.Fprintf(w, "Nothing else changed: %d other tables with %d rows have the same content before and after, in the transaction that removed; %d other streams lost no message.\n",
			r.Compared.Tables, r.Compared.Rows, r.Streams)
	}
	if len(r.Compared.Unread) > 0 {
		fmt.Fprintf(w, "Not compared, because this login may not read them: %s.\n", orNone(r.Compared.Unread, 10))
	}
	_, err := io.WriteString(out, w.String())
	return err
}
