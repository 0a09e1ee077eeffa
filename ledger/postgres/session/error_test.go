package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"spillway/ledger"
)

func TestSorted(t *testing.T) {
	const poison, unavailable, fenced, unknown = "poison", "unavailable", "fenced", "unknown"
	kind := func(err error) string {
		var p *ledger.PoisonError
		switch {
		case errors.As(err, &p):
			return poison
		case errors.Is(err, ledger.ErrUnavailable):
			return unavailable
		case errors.Is(err, ledger.ErrFenced):
			return fenced
		}
		return unknown
	}
	for code, want := range map[string]string{
		"22003": poison, "22021": poison, "23505": poison, "23514": poison, "23502": poison, "54000": poison,
		"08006": unavailable, "40001": unavailable, "40P01": unavailable, "53100": unavailable, "53300": unavailable,
		"55P03": unavailable, "57014": unavailable, "57P01": unavailable, "57P03": unavailable, "58030": unavailable,
		"25006": unavailable, "26000": unavailable, "42P01": unavailable, "42703": unavailable, "42883": unavailable, "3F000": unavailable, "42501": unavailable, "XX000": unavailable, "XX002": unavailable,
		"P0001": unknown, "21000": unknown, "99999": unknown, "": unknown,
	} {
		err := Sorted("record", fmt.Errorf("copy: %w", &pgconn.PgError{Code: code, Message: "bad", Detail: "Failing row contains (secret)."}))
		if got := kind(err); got != want {
			t.Errorf("%s is %s, want %s", code, got, want)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error quotes the row: %v", code, err)
		}
		missing := strings.HasPrefix(code, "42") && code != "42501" || code == "3F000"
		if strings.Contains(err.Error(), "spillway migrate") != missing {
			t.Errorf("%s: %v", code, err)
		}
	}
	for _, err := range []error{io.ErrUnexpectedEOF, context.DeadlineExceeded, context.Canceled, errors.New("closed pool")} {
		if got := kind(Sorted("record", err)); got != unavailable {
			t.Errorf("%v is %s", err, got)
		}
	}
	if got := kind(Sorted("record", ledger.ErrFenced)); got != fenced {
		t.Errorf("ErrFenced is %s", got)
	}
	if Sorted("record", nil) != nil {
		t.Error("nil is an error")
	}
}
