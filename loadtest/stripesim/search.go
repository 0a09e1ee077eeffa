package stripesim

import (
	"strings"
	"time"
)

// searchIntents finds intents by metadata, and only those that are older than the
// lag: metadata['key']:'value', several joined by AND, and status:'...'.
func (s *Server) searchIntents(q *call, r *renderer) *apiError {
	terms, bad := parseQuery(q.text("query"))
	if bad != nil {
		return bad
	}
	limit := pageDefault
	if n, there, bad := q.number("limit"); bad != nil {
		return bad
	} else if there {
		limit = int(min(max(n, 1), pageMax))
	}
	below := s.intents.last + 1
	if page := q.text("page"); page != "" {
		if below = s.ids.number(intentKind, page); below == 0 {
			return malformed("parameter_invalid", "page", "Invalid page: %s", page)
		}
	}
	seen := r.now - int64(s.cfg.SearchLag/time.Second)
	r.put(`{"object":"search_result","data":[`)
	shown, last, more := 0, uint32(0), false
	for n := below - 1; n > 0; n-- {
		p := s.intents.at(n)
		if p.created > seen || !terms.match(p) {
			continue
		}
		if shown == limit {
			more = true
			break
		}
		if shown > 0 {
			r.put(",")
		}
		r.intent(p)
		shown++
		last = n
	}
	r.bool2(`],"has_more":`, more)
	next := uint32(0)
	if more {
		next = last
	}
	r.id("next_page", intentKind, next)
	r.put(`,"url":"/v1/payment_intents/search"}`)
	return nil
}

// searchTerms are joined by AND.
type searchTerms struct {
	status string
	pairs  [][2]string
}

func (t searchTerms) match(p *intent) bool {
	if t.status != "" && p.status.String() != t.status {
		return false
	}
	for _, pair := range t.pairs {
		if pairOf(p.metadata, pair[0]) != pair[1] {
			return false
		}
	}
	return true
}

// parseQuery reads the part of the search language that payment systems look up by.
func parseQuery(text string) (t searchTerms, bad *apiError) {
	for term := range strings.SplitSeq(text, " AND ") {
		field, value, ok := strings.Cut(strings.TrimSpace(term), ":")
		value, quoted := unquote(value)
		if !ok || !quoted {
			return t, malformed("parameter_invalid", "query", "We were unable to parse your search query: %s", text)
		}
		if field == "status" {
			t.status = value
			continue
		}
		inner, ok := strings.CutPrefix(field, "metadata[")
		inner, ok2 := strings.CutSuffix(inner, "]")
		key, quoted := unquote(inner)
		if !ok || !ok2 || !quoted {
			return t, malformed("parameter_invalid", "query", "Field `%s` is an unsupported search field.", field)
		}
		t.pairs = append(t.pairs, [2]string{key, value})
	}
	return t, nil
}

func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '\'' && s[0] != '"' {
		return "", false
	}
	return s[1 : len(s)-1], true
}
