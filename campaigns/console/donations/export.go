package donations

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
	"spillway/ledger/search"
)

const (
	// exportLongest is how long an export may take: ten million rows to a slow reader.
	exportLongest = time.Hour
	// exportLook is after how many rows an export looks whether exports were turned off.
	exportLook = 1000
	// logTimeout bounds writing down how an export has ended.
	logTimeout = 5 * time.Second
)

// errTurnedOff ends exports that run when organisers turn them off.
var errTurnedOff = errors.New("exports were turned off")

// rows is a file of one format as it is written.
type rows interface {
	row(cells []cell) error
	// close ends the file; without it the file is not whole.
	close() error
}

// export streams what the filters find, as CSV or XLSX, one row a donation or one a
// line (per=line). That it began is in the audit log before the first row leaves; what
// it came to, afterwards.
func (s *Section) export(r *frame.Request) error {
	format, perLine := r.Query("format"), r.Query("per") == "line"
	if format == "" {
		format = "csv"
	}
	if format != "csv" && format != "xlsx" {
		return frame.Invalid(frame.Field{Name: "format", Code: "unknown", Detail: "The formats are csv and xlsx."})
	}
	if per := r.Query("per"); per != "" && per != "line" && per != "donation" {
		return frame.Invalid(frame.Field{Name: "per", Code: "unknown", Detail: "A row is one donation or one line."})
	}
	if s.ExportsOff() {
		return &frame.Problem{Status: http.StatusServiceUnavailable, Code: "switched_off", RetryAfter: 60,
			Detail: "Exports are turned off at the moment, so that giving keeps the machine. Organisers turn them on again under Switches."}
	}
	f, q, err := s.query(r)
	if err != nil {
		return err
	}
	select {
	case s.exporting <- struct{}{}:
	default:
		return frame.Busy(fmt.Sprintf("%d exports are running already; try again when one has ended.", exportsMost))
	}
	handed := false
	defer func() {
		if !handed {
			<-s.exporting
		}
	}()
	if r.Method() == http.MethodGet && r.Raw().IsHead() {
		return r.Download(contentTypes[format], "donations."+format, exportLongest, nil)
	}
	what := fmt.Sprintf("%s, a row each %s; %s", format, map[bool]string{true: "line", false: "donation"}[perLine], f.audit())
	if err := r.Audit("donations.export", r.Query("campaign"), what); err != nil {
		return err
	}
	layout := layout{zone: s.Zone(), personal: personal(r), perLine: perLine, of: r.Principal}
	entry := access.Entry{Actor: r.Principal.User, Name: r.Principal.Name, Network: r.Network(), Action: "donations.exported", Subject: r.Query("campaign")}
	log := r.Log()
	name := "donations-" + r.Now().In(layout.zone).Format("2006-01-02-1504") + "." + format
	err = r.Download(contentTypes[format], name, exportLongest, func(ctx context.Context, w *bufio.Writer) error {
		defer func() { <-s.exporting }()
		n, err := s.write(ctx, w, format, &layout, q)
		entry.At, entry.Detail = s.Now().UTC(), plural(n)+"; "+what
		if err != nil {
			entry.Detail = "ended early after " + entry.Detail
		}
		// The browser may have left, and it is written down all the same.
		noted, cancel := context.WithTimeout(context.WithoutCancel(ctx), logTimeout)
		defer cancel()
		if failed := s.Log.Audit(noted, entry); failed != nil {
			log.Warn("an export's end is not in the audit log; its beginning is", "rows", n, "err", failed)
		}
		return err
	})
	handed = err == nil
	return err
}

var contentTypes = map[string]string{"csv": "text/csv; charset=utf-8; header=present", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}

func plural(n int) string {
	if n == 1 {
		return "1 row"
	}
	return strconv.Itoa(n) + " rows"
}

// write writes the file and returns how many rows it has below its header.
func (s *Section) write(ctx context.Context, w *bufio.Writer, format string, l *layout, q search.Query) (n int, err error) {
	var out rows = newCSV(w)
	if format == "xlsx" {
		out = newXLSX(w, l.titles())
	} else if err := out.row(l.header()); err != nil {
		return 0, err
	}
	var cells []cell
	err = s.Search.Each(ctx, q, func(row *search.Row) error {
		v := seen(&l.of, row)
		for line := range l.rowsOf(v) {
			if n%exportLook == 0 {
				if s.ExportsOff() {
					return errTurnedOff
				}
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			cells = l.cells(cells[:0], v, line)
			if err := out.row(cells); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		return n, err
	}
	return n, out.close()
}
