package browser

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/chromedp/chromedp"
)

// inModule evaluates an async function's body with a script's exports in m.
func inModule[T any](b *tab, name, body string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](`(async () => {
		const link = [...document.querySelectorAll("link[rel=modulepreload], script[src]")].map((e) => e.href || e.src).find((u) => u.includes("/`+name+`."));
		const m = await import(link);
		`+body+`
	})()`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

func TestMoney_TheCoveredFeeIsTheLeastThatLeavesTheGiftWhole(t *testing.T) {
	t.Parallel()
	b := newTab(t, visit(t).url, "/c/river-school")
	rates := [][2]int64{{290, 30}, {0, 0}, {150, 25}, {349, 0}, {2000, 10_000}, {1, 1}}
	var sums []int64
	for sum := int64(1); sum < 100_000_000; sum = sum*3/2 + 1 {
		sums = append(sums, sum, sum+7)
	}
	rate, _ := json.Marshal(rates)
	sum, _ := json.Marshal(sums)
	covers := inModule[[][]int64](b, "money", `return `+string(rate)+`.map(([basis_points, fixed_minor]) => `+string(sum)+`.map((sum) => m.cover(sum, {basis_points, fixed_minor})));`)
	for r, rate := range rates {
		for i, sum := range sums {
			left := func(total int64) int64 { return total - (total*rate[0]+5000)/10_000 - rate[1] }
			c := covers[r][i]
			if c < 0 || left(sum+c) < sum || c > 0 && left(sum+c-1) >= sum {
				t.Fatalf("%d at %v: %d covers it, which leaves %d", sum, rate, c, left(sum+c))
			}
		}
	}
}

func TestMoney_AmountsAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	b := newTab(t, visit(t).url, "/c/river-school")
	const wrong = -1
	for text, want := range map[string]int64{
		"50": 5000, " 50 ": 5000, "$50": 5000, "50 $": 5000, "12.5": 1250, "12,50": 1250, "0.01": 1, "0.5": 50, "0,50": 50, "0050": 5000, "1,234": 123400,
		"1,234.50": 123450, "1.234,50": 123450, "1 234,5": 123450, "1'234": 123400, "1.234.567,89": 123456789, "999999.99": 99999999,
		"": wrong, "-5": wrong, "5-": wrong, "1e3": wrong, "12.345.6": wrong, "12,3456": wrong, "50.123456": wrong, "five": wrong, "１２": wrong, "99999999999": wrong,
		// What may mean two amounts, a thousand times apart.
		"0.500": wrong, "0,500": wrong, "00,500": wrong, "1.500": wrong, "1234,567": wrong, "1234.567": wrong, "012,345": wrong, "0,500.00": wrong,
	} {
		if got := inModule[int64](b, "money", `const n = m.read(`+quoted(text)+`, "USD"); return Number.isNaN(n) ? -1 : n;`); got != want {
			t.Errorf("%q is read as %d, want %d", text, got, want)
		}
	}
	for _, text := range []string{"1500", "1.500", "1,500"} { // which has no decimals
		if got := inModule[int64](b, "money", `return m.read(`+quoted(text)+`, "JPY")`); got != 1500 {
			t.Errorf("%s yen are read as %d", text, got)
		}
	}
	for text, want := range map[string]string{
		"0.500": "Write 0.50 or 500.", "1.500": "Write 1.50 or 1500.", "1234,567": "Write 1234.56 or 1234567.", "$ 0,500": "Write 0.50 or 500.",
		"50": "", "1,234": "", "": "", "five": "", "50.123456": "", "12,3456": "",
	} {
		if got := inModule[string](b, "money", `return m.hint(`+quoted(text)+`, "USD")`); got != want {
			t.Errorf("%q: the hint is %q, want %q", text, got, want)
		}
	}
	if got := inModule[string](b, "money", `return [m.money(123450, "USD"), m.money(123400, "USD", true), m.money(1500, "JPY", true), m.plain(1250, "USD")].join(" ")`); got != "$1,234.50 $1,234 ¥1,500 12.50" {
		t.Errorf("amounts are written %q", got)
	}
}
