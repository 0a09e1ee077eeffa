package web

import (
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"spillway/campaigns/board"
)

// query is what a visitor looks for among the campaigns. The zero value is the page
// without a question.
type query struct {
	Text, Phase, Organisation string
	Sort                      board.Sort
	Page                      int // from 1; 0 is 1
}

// Bounds of what is looked for.
const (
	textCharsMax = 100
	// pageMax bounds page numbers: beyond it there are no campaigns.
	pageMax = 10_000
	// cardsPerPage fills rows of one, two and three, and is below the 20 campaigns that
	// one live stream takes.
	cardsPerPage = 18
)

// parseQuery reads what is looked for. What is not understood is left out: an address
// that somebody typed or a campaign tool added to still leads to a page.
func parseQuery(args *fasthttp.Args) query {
	var q query
	text := func(name string, charsMax int) string {
		s := strings.ToValidUTF8(string(args.Peek(name)), "")
		s = strings.TrimSpace(strings.ReplaceAll(s, "\x00", ""))
		if utf8.RuneCountInString(s) > charsMax {
			s = string([]rune(s)[:charsMax])
		}
		return s
	}
	q.Text, q.Organisation = text("q", textCharsMax), text("organisation", 2*textCharsMax)
	for i := range shows {
		if p := shows[i].Value; p != "" && p == string(args.Peek("show")) {
			q.Phase = p
		}
	}
	for i := range sorts {
		if s := sorts[i].Value; s == string(args.Peek("sort")) && board.Sort(s) != board.SortRaised {
			q.Sort = board.Sort(s)
		}
	}
	if n, err := strconv.Atoi(string(args.Peek("page"))); err == nil && n > 1 && n <= pageMax {
		q.Page = n
	}
	return q
}

// encode writes the query for a link, always in the same order, "" for the zero value.
func (q query) encode() string {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("q", q.Text)
	set("organisation", q.Organisation)
	set("show", q.Phase)
	set("sort", string(q.Sort))
	if q.Page > 1 {
		v.Set("page", strconv.Itoa(q.Page))
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// filtered tells whether campaigns are left out.
func (q query) filtered() bool { return q.Text != "" || q.Organisation != "" || q.Phase != "" }

func (q query) filter() board.Filter {
	return board.Filter{Text: q.Text, Phase: q.Phase, Organisation: q.Organisation, Sort: q.Sort, Page: q.Page, Size: cardsPerPage}
}

// choice is one option of a select element.
type choice struct {
	Value, Name string
	Selected    bool
}

var shows = []choice{{Value: "", Name: "All campaigns"}, {Value: "open", Name: "Open now"}, {Value: "upcoming", Name: "Opening later"}, {Value: "closed", Name: "Closed"}}

var sorts = []choice{
	{Value: string(board.SortRaised), Name: "Most raised"}, {Value: string(board.SortDonors), Name: "Most donors"},
	{Value: string(board.SortEnding), Name: "Closing soon"}, {Value: string(board.SortName), Name: "Name"},
}

func chosen(all []choice, value string) []choice {
	out := make([]choice, len(all))
	for i, c := range all {
		c.Selected = c.Value == value
		out[i] = c
	}
	return out
}
