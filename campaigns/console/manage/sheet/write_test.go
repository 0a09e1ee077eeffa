package sheet

import (
	"encoding/csv"
	"strings"
	"testing"
)

// begins is what a cell must not begin with, whatever stands before it in the text.
func begins(t *testing.T, what, cell string) {
	t.Helper()
	if text := strings.TrimLeft(cell, "\" \t\r\n"); text != "" && strings.ContainsAny(text[:1], "=+-@") || strings.HasPrefix(text, "＝") || strings.HasPrefix(text, "＠") {
		t.Errorf("%s begins a formula: %q", what, cell)
	}
}

// Whatever donors write, no program computes it: neither one that reads commas nor one
// that was told semicolons or tabs, for which quotes inside a line hold nothing together.
func TestAppendCSV_NothingIsAFormula(t *testing.T) {
	for _, text := range []string{
		"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", `"=1`, "＝1+1", "＠x",
		"x;=cmd|' /C calc'!A0;", "x\t=1\t", "x\n=1\n", "x\r\n;=1", `x;"=1"`, "x; @y", "x;＝1",
	} {
		row := string(AppendCSV(nil, []string{"a", text, "b"}))
		cells, err := csv.NewReader(strings.NewReader(row)).Read()
		if err != nil || len(cells) != 3 {
			t.Errorf("%q: %q, %v", text, cells, err)
			continue
		}
		begins(t, "by commas", cells[1])
		for _, cell := range strings.FieldsFunc(row, func(c rune) bool { return strings.ContainsRune(";\t\r\n", c) }) {
			begins(t, "by others", cell)
		}
	}
	const plain = "a,\"b; c\",1.50,x=y a@b.c d-e\r\n"
	if got := string(AppendCSV(nil, []string{"a", "b; c", "1.50", "x=y a@b.c d-e"})); got != plain {
		t.Errorf("%q", got)
	}
}
