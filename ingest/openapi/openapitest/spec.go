// Package openapitest holds answers to the public contract, openapi.yaml.
//
// The one invariant: a keyword of the document that this package does not know is
// a failure and never ignored, so that nothing is thought to be held that is not.
package openapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"spillway/ingest/openapi"
)

// Spec is the document, taken apart, and what was seen of it. It may be used by
// several goroutines.
type Spec struct {
	root  map[string]any
	paths []path

	mu   sync.Mutex
	seen map[string]bool // "GET /v1/donations/{id} 200"
}

// path is one template with its operations by method in capitals.
type path struct {
	template   string
	parts      []string
	operations map[string]map[string]any
}

// Load reads the document that this build serves, and fails the test when it is
// not sound in itself.
func Load(t testing.TB) *Spec {
	t.Helper()
	s, err := Parse(openapi.Document)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Parse reads a document. Its error lists everything in it that is not sound.
func Parse(document []byte) (*Spec, error) {
	s := &Spec{seen: map[string]bool{}}
	if err := yaml.Unmarshal(document, &s.root); err != nil {
		return nil, err
	}
	if version, _ := s.root["openapi"].(string); !strings.HasPrefix(version, "3.1.") {
		return nil, fmt.Errorf("openapi: %q", version)
	}
	for template, item := range object(s.root["paths"]) {
		p := path{template, strings.Split(template, "/"), map[string]map[string]any{}}
		for name, operation := range object(item) {
			if method := strings.ToUpper(name); slices.Contains([]string{"GET", "POST", "DELETE"}, method) {
				p.operations[method] = object(operation)
			} else if name != "parameters" && name != "servers" {
				return nil, fmt.Errorf("%s: %q is not known here", template, name)
			}
		}
		s.paths = append(s.paths, p)
	}
	return s, s.sound()
}

// Answer is what came back on one request.
type Answer struct {
	Method string
	Target string // path and query as they were sent
	Status int
	Header http.Header
	Body   []byte
}

// Check holds one answer to the document and returns what is wrong with it. known
// is false when no path of the document is meant.
func (s *Spec) Check(a Answer) (faults []string, known bool) {
	target, _, _ := strings.Cut(a.Target, "?")
	p := s.find(target)
	if p == nil {
		return nil, false
	}
	method := a.Method
	if method == http.MethodHead && s.hasHead(p.operations[http.MethodGet]) {
		method = http.MethodGet
	}
	operation := p.operations[method]
	if operation == nil {
		if a.Status != http.StatusMethodNotAllowed {
			return []string{fmt.Sprintf("%s is not a method of %s, and the answer is %d", a.Method, p.template, a.Status)}, true
		}
		if got, want := a.Header.Get("Allow"), s.allow(p); got != want {
			return []string{fmt.Sprintf("Allow: %q, want %q", got, want)}, true
		}
		return nil, true
	}
	status := fmt.Sprint(a.Status)
	response := s.resolve(object(operation["responses"])[status])
	if response == nil {
		return []string{fmt.Sprintf("%s %s does not answer %s", method, p.template, status)}, true
	}
	s.mu.Lock()
	s.seen[method+" "+p.template+" "+status] = true
	s.mu.Unlock()
	for name, h := range object(response["headers"]) {
		header := s.resolve(h)
		values := a.Header.Values(name)
		switch {
		case len(values) > 1:
			faults = append(faults, fmt.Sprintf("header %s: %d times", name, len(values)))
		case len(values) == 1:
			faults = append(faults, s.validate(object(header["schema"]), values[0], "header "+name)...)
		case header["required"] == true:
			faults = append(faults, "header "+name+" is missing")
		}
	}
	return append(faults, s.body(object(response["content"]), a)...), true
}

// body holds the body to the one media type that the response has.
func (s *Spec) body(content map[string]any, a Answer) []string {
	if len(content) == 0 {
		if len(a.Body) > 0 {
			return []string{fmt.Sprintf("a body of %d bytes, want none", len(a.Body))}
		}
		return nil
	}
	mediaType := slices.Sorted(maps.Keys(content))[0]
	if got := a.Header.Get("Content-Type"); got != mediaType {
		return []string{fmt.Sprintf("Content-Type %q, want %q", got, mediaType)}
	}
	if a.Method == http.MethodHead || !strings.HasSuffix(mediaType, "json") {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(a.Body))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return []string{"the body is not JSON: " + err.Error()}
	}
	return s.validate(object(object(content[mediaType])["schema"]), value, "")
}

// CheckRequest holds a JSON body to what the operation says that it takes.
func (s *Spec) CheckRequest(method, template string, body []byte) []string {
	for _, p := range s.paths {
		if p.template == template {
			content := object(object(p.operations[method]["requestBody"])["content"])
			d := json.NewDecoder(bytes.NewReader(body))
			d.UseNumber()
			var value any
			if err := d.Decode(&value); err != nil {
				return []string{"the body is not JSON: " + err.Error()}
			}
			return s.validate(object(object(content["application/json"])["schema"]), value, "")
		}
	}
	return []string{"no path " + template}
}

// Uncovered lists the responses of a tag's operations that no answer has shown, as
// "GET /healthz 200". Those that HTTP itself gives before any route (the statuses in
// except) are left out.
func (s *Spec) Uncovered(tag string, except ...int) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.paths {
		for method, operation := range p.operations {
			tags, _ := operation["tags"].([]any)
			for status := range object(operation["responses"]) {
				one := method + " " + p.template + " " + status
				if slices.Contains(tags, any(tag)) && !s.seen[one] && !slices.ContainsFunc(except, func(e int) bool { return fmt.Sprint(e) == status }) {
					all = append(all, one)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// find returns the path that a target means.
func (s *Spec) find(target string) *path {
	parts := strings.Split(target, "/")
	for i := range s.paths {
		if p := &s.paths[i]; len(p.parts) == len(parts) && p.matches(parts) {
			return p
		}
	}
	return nil
}

var parameter = regexp.MustCompile(`^\{[a-z]+\}$`)

func (p *path) matches(parts []string) bool {
	for i, part := range p.parts {
		if part != parts[i] && (parts[i] == "" || !parameter.MatchString(part)) {
			return false
		}
	}
	return true
}

// allow is the Allow header of the path.
func (s *Spec) allow(p *path) string {
	var methods []string
	for _, m := range []string{"GET", "POST", "DELETE"} {
		if p.operations[m] != nil {
			methods = append(methods, m)
			if m == "GET" && s.hasHead(p.operations[m]) {
				methods = append(methods, "HEAD")
			}
		}
	}
	return strings.Join(methods, ", ")
}

// hasHead tells whether HEAD is answered beside GET: a stream has no end and so no HEAD.
func (s *Spec) hasHead(get map[string]any) bool {
	_, stream := object(s.resolve(object(get["responses"])["200"])["content"])["text/event-stream"]
	return get != nil && !stream
}

// resolve follows a reference; nil when there is nothing.
func (s *Spec) resolve(v any) map[string]any {
	o := object(v)
	ref, ok := o["$ref"].(string)
	if !ok {
		return o
	}
	at := any(s.root)
	for _, name := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		at = object(at)[name]
	}
	return object(at)
}

// object is v as an object, nil when it is none.
func object(v any) map[string]any { o, _ := v.(map[string]any); return o }
