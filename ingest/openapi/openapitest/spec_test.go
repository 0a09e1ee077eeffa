package openapitest

import (
	"net/http"
	"strings"
	"testing"

	"spillway/ingest/openapi"
)

func TestDocument_IsSound(t *testing.T) {
	s := Load(t)
	if len(s.paths) < 11 {
		t.Errorf("%d paths", len(s.paths))
	}
}

// A document with a mistake in it is not taken.
func TestParse_FindsMistakes(t *testing.T) {
	for name, replacement := range map[string][2]string{
		"another version":            {"openapi: 3.1.0", "openapi: 3.0.3"},
		"a reference to nothing":     {"#/components/schemas/Accepted", "#/components/schemas/Acceptd"},
		"a keyword that is not held": {"minItems: 1", "minContains: 1"},
		"an operation's ID twice":    {"operationId: cancel", "operationId: state"},
		"an example that is refused": {"fee_cover_minor: 0", "fee_cover: 0"},
		"an example out of bounds":   {"amount_minor: 5000", "amount_minor: 0"},
		"a pattern that is none":     {"^[A-Z]{3}$", "^[A-Z{3}$"},
	} {
		text := string(openapi.Document)
		if !strings.Contains(text, replacement[0]) {
			t.Fatalf("%s: the document has no %q", name, replacement[0])
		}
		if _, err := Parse([]byte(strings.Replace(text, replacement[0], replacement[1], 1))); err == nil {
			t.Errorf("%s was not found", name)
		}
	}
}

// Each way in which an answer can break the contract is found.
func TestCheck_FindsWhatIsWrong(t *testing.T) {
	s := Load(t)
	const id = "e64bc176-784f-84df-a427-85fa545f33e2"
	sound := `{"id":"` + id + `","status":"failed","reason":"declined","stale":false,"conflict":false,"amount_minor":5000,"lines":[{"campaign":"a","amount_minor":5000}]}`
	check := func(name string, want bool, change func(*Answer)) {
		t.Helper()
		a := Answer{Method: "GET", Target: "/v1/donations/" + id + "?wait=1", Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(sound)}
		change(&a)
		faults, known := s.Check(a)
		if !known || (len(faults) == 0) != want {
			t.Errorf("%s: known %v, %q", name, known, faults)
		}
	}
	body := func(old, replacement string) func(*Answer) {
		return func(a *Answer) {
			if !strings.Contains(sound, old) {
				t.Fatalf("no %s", old)
			}
			a.Body = []byte(strings.Replace(sound, old, replacement, 1))
		}
	}
	check("a sound one", true, func(*Answer) {})
	check("HEAD", true, func(a *Answer) { a.Method, a.Body = "HEAD", nil })
	check("a status that is not documented", false, func(a *Answer) { a.Status = 204 })
	check("another type", false, func(a *Answer) { a.Header.Set("Content-Type", "text/html") })
	check("no JSON", false, func(a *Answer) { a.Body = []byte("<") })
	check("an array", false, func(a *Answer) { a.Body = []byte("[]") })
	check("a misspelt member", false, body(`"reason"`, `"raeson"`))
	check("a misspelt member of a line", false, body(`"campaign"`, `"slug"`))
	check("a member is missing", false, body(`"stale":false,`, ""))
	check("a word that is not one", false, body(`"failed"`, `"broken"`))
	check("a text for a number", false, body(`"amount_minor":5000,`, `"amount_minor":"5000",`))
	check("a fraction", false, body(`"amount_minor":5000,`, `"amount_minor":50.5,`))
	check("a negative amount", false, body(`"amount_minor":5000,`, `"amount_minor":-1,`))
	check("null", false, body(`"stale":false`, `"stale":null`))
	check("an ID of another version", false, body("84df", "44df"))
	check("a method that is not there", false, func(a *Answer) { a.Method = "PUT" })
	check("a method refused", true, func(a *Answer) {
		a.Method, a.Status, a.Header = "PUT", 405, http.Header{"Allow": {"GET, HEAD, DELETE"}}
	})
	check("a method refused, Allow wrong", false, func(a *Answer) { a.Method, a.Status, a.Header = "PUT", 405, http.Header{"Allow": {"GET"}} })
	unavailable := `{"type":"urn:spillway:problem:state_unavailable","title":"x","status":503,"detail":"x","code":"state_unavailable","retryable":true}`
	problem := func(text string, headers http.Header) func(*Answer) {
		return func(a *Answer) {
			headers.Set("Content-Type", "application/problem+json")
			a.Status, a.Body, a.Header = 503, []byte(text), headers
		}
	}
	check("a problem", true, problem(unavailable, http.Header{"Retry-After": {"2"}}))
	check("a problem without its header", false, problem(unavailable, http.Header{}))
	check("a problem with an odd header", false, problem(unavailable, http.Header{"Retry-After": {"soon"}}))
	check("another route's problem", false, problem(strings.ReplaceAll(unavailable, "state_unavailable", "overloaded"), http.Header{"Retry-After": {"2"}}))
	check("a misspelt member of a problem", false, problem(strings.Replace(unavailable, `"title"`, `"titel"`, 1), http.Header{"Retry-After": {"2"}}))

	if _, known := s.Check(Answer{Method: "GET", Target: "/v1/nothing", Status: 404}); known {
		t.Error("a path that is not there is known")
	}
	if got := s.Uncovered("donations"); len(got) == 0 || strings.Contains(strings.Join(got, "\n"), "GET /v1/donations/{id} 200") {
		t.Errorf("uncovered: %q", got)
	}
}
