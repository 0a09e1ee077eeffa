package browser

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// watch notes in the page when the figure of an element changed, by the machine's clock.
const watch = `(selector) => {
	const e = document.querySelector(selector);
	window.moves = [];
	new MutationObserver(() => moves.push(e.textContent + " " + Date.now())).observe(e, {childList: true, characterData: true, subtree: true});
	return true;
}`

// BenchmarkLive_TotalsMoveOnASecondPage measures how long after a donation's 202 a page
// that somebody else has open shows it: what is pledged, which needs nobody's bank.
func BenchmarkLive_TotalsMoveOnASecondPage(b *testing.B) {
	slug := newCampaign(b)
	page := newTab(b, visit(b).url, "/c/"+slug)
	figure := `[data-total="pledged"][data-campaign="` + slug + `"]`
	value[bool](page, "("+watch+")("+quoted(figure)+")")
	var took []time.Duration
	for i := 1; b.Loop(); i++ {
		giveDirectly(b, slug, 100, "visa")
		given := time.Now()
		shown := "$" + strconv.Itoa(i) + " "
		page.until("moves.some((m) => m.replaceAll(',', '').startsWith(" + quoted(shown) + "))")
		move := value[string](page, "moves.find((m) => m.replaceAll(',', '').startsWith("+quoted(shown)+"))")
		_, at, _ := strings.Cut(move, " ")
		ms, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.UnixMilli(ms).Sub(given))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Milliseconds()), "ms/median")
	b.ReportMetric(float64(took[len(took)-1].Milliseconds()), "ms/longest")
}
