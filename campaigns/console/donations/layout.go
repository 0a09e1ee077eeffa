package donations

import (
	"strconv"
	"strings"
	"time"

	"spillway/campaigns/access"
)

// cell is one value of a row. number marks what spreadsheets may add up; everything
// else is text, whatever it looks like.
type cell struct {
	text   string
	number bool
}

// layout says what stands in which column.
type layout struct {
	zone     *time.Location
	personal bool             // what donors said of themselves has columns
	perLine  bool             // a row is one line; otherwise one donation
	of       access.Principal // who sees it
}

// titles are the columns' names. They are part of the contract: programs read them.
func (l *layout) titles() []string {
	all := []string{"donation_id", "given_at_" + strings.ReplaceAll(l.zone.String(), "/", "_"), "given_at_utc", "status", "reason", "currency"}
	if l.perLine {
		all = append(all, "line", "campaign", "line_amount", "line_amount_minor")
	}
	all = append(all, "part", "amount", "amount_minor", "covered_fee", "covered_fee_minor", "refunded", "refunded_minor")
	if !l.perLine {
		all = append(all, "campaigns")
	}
	if l.personal {
		all = append(all, "name", "email", "message", "dedication")
	}
	return append(all, "anonymous", "hide_amount", "hidden", "payment", "charge")
}

func (l *layout) header() []cell {
	titles := l.titles()
	all := make([]cell, len(titles))
	for i, t := range titles {
		all[i].text = t
	}
	return all
}

// rowsOf is how many rows a donation has.
func (l *layout) rowsOf(row view) int {
	if l.perLine {
		return len(row.Lines)
	}
	return 1
}

// cells appends the cells of one row to those given.
func (l *layout) cells(to []cell, row view, line int) []cell {
	text := func(s string) { to = append(to, cell{text: s}) }
	amount := func(minor int64) {
		to = append(to, cell{plainMoney(minor, row.Currency), true}, cell{strconv.FormatInt(minor, 10), true})
	}
	text(row.ID.String())
	text(row.AcceptedAt.In(l.zone).Format("2006-01-02 15:04:05"))
	text(row.AcceptedAt.UTC().Format("2006-01-02T15:04:05Z"))
	text(row.Status)
	text(row.Reason)
	text(string(row.Currency))
	if l.perLine {
		to = append(to, cell{strconv.Itoa(line + 1), true})
		text(row.Lines[line].Campaign)
		amount(row.Lines[line].AmountMinor)
	}
	text(yes(row.Part))
	amount(row.AmountMinor)
	amount(row.FeeCoverMinor)
	if row.SomeBack {
		to = append(to, cell{}, cell{}) // not known of which lines
	} else {
		amount(row.RefundedMinor)
	}
	if !l.perLine {
		parts := make([]string, len(row.Lines))
		for i, part := range row.Lines {
			parts[i] = part.Campaign + " " + plainMoney(part.AmountMinor, row.Currency)
		}
		text(strings.Join(parts, "; "))
	}
	if l.personal {
		text(row.Name)
		text(row.Email)
		text(row.Message)
		text(row.Dedication)
	}
	text(yes(row.Anonymous))
	text(yes(row.HideAmount))
	text(row.Hidden.String())
	text(row.Intent)
	text(row.Charge)
	return to
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
