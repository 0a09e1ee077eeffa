package web

import (
	"os"
	"strings"
	"testing"

	"spillway/ledger/money"
)

// TestScriptsCountInTheLedgersUnits: browsers have tables of their own (Chromium has no
// decimals for HUF), so the scripts know the ledger's. A currency with another exponent
// has to be told to them.
func TestScriptsCountInTheLedgersUnits(t *testing.T) {
	script, err := os.ReadFile("assets/money.js")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(script), `return currency === "JPY" ? 0 : 2;`) {
		t.Error("assets/money.js has another rule than this test knows")
	}
	for _, c := range money.Currencies() {
		want := 2
		if c == "JPY" {
			want = 0
		}
		if c.Exponent() != want {
			t.Errorf("%s has %d decimals in the ledger and %d in assets/money.js", c, c.Exponent(), want)
		}
	}
}
