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
		"50": 5000, " 50 ": 5000, "$50": 5000, "50 $": 5000, "12.5": 1250, "12,50": 1250, "0.01": 1, "1,234": 123400, "1.234": 123400,
		"1,234.50": 123450, "1.234,50": 123450, "1 234,5": 123450, "1'234": 123400, "999999.99": 99999999,
		"": wrong, "-5": wrong, "5-": wrong, "1e3": wrong, "12.345.6": wrong, "12,3456": wrong, "50.123456": wrong, "five": wrong, "１２": wrong, "99999999999": wrong,
	} {
		if got := inModule[int64](b, "money", `const n = m.read(`+quoted(text)+`, "USD"); return Number.isNaN(n) ? -1 : n;`); got != want {
			t.Errorf("%q is read as %d, want %d", text, got, want)
		}
	}
	if got := inModule[int64](b, "money", `return m.read("1500", "JPY")`); got != 1500 {
		t.Errorf("1500 yen are read as %d", got)
	}
	if got := inModule[string](b, "money", `return [m.money(123450, "USD"), m.money(123400, "USD", true), m.money(1500, "JPY", true), m.plain(1250, "USD")].join(" ")`); got != "$1,234.50 $1,234 ¥1,500 12.50" {
		t.Errorf("amounts are written %q", got)
	}
}
