package openapitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// keywords are those of JSON Schema 2020-12 that the document may use; true for
// those that only tell.
var keywords = map[string]bool{
	"$ref": false, "type": false, "required": false, "properties": false, "additionalProperties": false, "items": false,
	"minItems": false, "maxItems": false, "minimum": false, "maximum": false, "maxLength": false, "pattern": false,
	"enum": false, "const": false, "allOf": false, "anyOf": false, "format": false,
	"description": true, "default": true,
}

// validate holds a JSON value (numbers as json.Number) to a schema. It is stricter
// than JSON Schema: a member that no schema names is a fault everywhere, since a
// test that lets it pass would not see a misspelt one.
func (s *Spec) validate(schema map[string]any, v any, at string) []string {
	return s.check(schema, v, at, s.members(schema))
}

// check is validate where the members that v may have are known from around.
func (s *Spec) check(schema map[string]any, v any, at string, members map[string]bool) (faults []string) {
	fault := func(format string, args ...any) {
		faults = append(faults, at+": "+fmt.Sprintf(format, args...))
	}
	if _, ok := schema["$ref"]; ok {
		faults = append(faults, s.check(s.resolve(schema), v, at, members)...)
	}
	for _, one := range list(schema["allOf"]) {
		faults = append(faults, s.check(object(one), v, at, members)...)
	}
	if choices := list(schema["anyOf"]); len(choices) > 0 && !slices.ContainsFunc(choices, func(one any) bool { return len(s.validate(object(one), v, at)) == 0 }) {
		fault("%v is none of those allowed", v)
	}
	if want, ok := schema["type"].(string); ok && kind(v) != want && !(want == "number" && kind(v) == "integer") {
		fault("%v is of type %s, want %s", v, kind(v), want)
		return faults
	}
	if want, ok := schema["const"]; ok && !same(want, v) {
		fault("%v, want %v", v, want)
	}
	if words := list(schema["enum"]); len(words) > 0 && !slices.ContainsFunc(words, func(w any) bool { return same(w, v) }) {
		fault("%v is not one of %v", v, words)
	}
	switch v := v.(type) {
	case map[string]any:
		faults = append(faults, s.checkObject(schema, v, at, members)...)
	case []any:
		if least, ok := schema["minItems"].(int); ok && len(v) < least {
			fault("%d items, %d at least", len(v), least)
		}
		if most, ok := schema["maxItems"].(int); ok && len(v) > most {
			fault("%d items, %d at most", len(v), most)
		}
		for i := range v {
			faults = append(faults, s.validate(object(schema["items"]), v[i], fmt.Sprint(at, "/", i))...)
		}
	case string:
		if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v) {
			fault("%q does not match %s", v, pattern)
		}
		if most, ok := schema["maxLength"].(int); ok && utf8.RuneCountInString(v) > most {
			fault("%d characters, %d at most", utf8.RuneCountInString(v), most)
		}
		if schema["format"] == "date-time" {
			if _, err := time.Parse(time.RFC3339Nano, v); err != nil {
				fault("%q is no time", v)
			}
		}
	case json.Number:
		n, err := v.Float64() // bounds are small, so that none is lost in it
		if least, ok := schema["minimum"].(int); ok && (err != nil || n < float64(least)) {
			fault("%s, %d at least", v, least)
		}
		if most, ok := schema["maximum"].(int); ok && (err != nil || n > float64(most)) {
			fault("%s, %d at most", v, most)
		}
	}
	return faults
}

func (s *Spec) checkObject(schema, v map[string]any, at string, members map[string]bool) (faults []string) {
	for _, name := range list(schema["required"]) {
		if _, given := v[name.(string)]; !given {
			faults = append(faults, at+": "+name.(string)+" is missing")
		}
	}
	properties := object(schema["properties"])
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if property, ok := properties[name]; ok {
			faults = append(faults, s.validate(object(property), v[name], at+"/"+name)...)
		} else if members != nil && !members[name] && schema["type"] == "object" {
			faults = append(faults, at+"/"+name+": there is no such member")
		}
	}
	return faults
}

// members collects what an object of the schema may hold, over references and
// allOf; nil when any of it leaves the members open by naming none.
func (s *Spec) members(schema map[string]any) map[string]bool {
	all := map[string]bool{}
	var collect func(map[string]any)
	collect = func(schema map[string]any) {
		for name := range object(schema["properties"]) {
			all[name] = true
		}
		if _, ok := schema["$ref"]; ok {
			collect(s.resolve(schema))
		}
		for _, one := range list(schema["allOf"]) {
			collect(object(one))
		}
	}
	collect(schema)
	if len(all) == 0 {
		return nil
	}
	return all
}

// sound checks the document itself: every reference leads somewhere, every keyword
// of a schema is known, every pattern compiles, every operation has an ID of its own
// and each of its examples is what it says it takes.
func (s *Spec) sound() error {
	var faults []string
	var walk func(v any, at string)
	walk = func(v any, at string) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && (!strings.HasPrefix(ref, "#/") || s.resolve(v) == nil) {
				faults = append(faults, at+": "+ref+" leads nowhere")
			}
			for name, child := range v {
				walk(child, at+"/"+name)
			}
		case []any:
			for i := range v {
				walk(v[i], fmt.Sprint(at, "/", i))
			}
		}
	}
	walk(s.root, "")
	for _, schema := range s.schemas() {
		for name := range schema.value {
			if _, known := keywords[name]; !known {
				faults = append(faults, schema.at+": the keyword "+name+" is not known here")
			}
		}
		if pattern, ok := schema.value["pattern"].(string); ok {
			if _, err := regexp.Compile(pattern); err != nil {
				faults = append(faults, schema.at+": "+err.Error())
			}
		}
	}
	if len(faults) > 0 { // nothing can be held to such schemas
		slices.Sort(faults)
		return fmt.Errorf("openapi.yaml:\n%s", strings.Join(faults, "\n"))
	}
	ids := map[any]bool{}
	for _, p := range s.paths {
		for method, operation := range p.operations {
			at := method + " " + p.template
			id, named := operation["operationId"]
			if !named || ids[id] || len(list(operation["tags"])) != 1 || len(object(operation["responses"])) == 0 {
				faults = append(faults, at+": without an ID of its own, one tag or responses")
			}
			ids[id] = true
			body := object(object(object(operation["requestBody"])["content"])["application/json"])
			if example, ok := body["example"]; ok {
				text, err := json.Marshal(example)
				if err != nil {
					faults = append(faults, at+": example: "+err.Error())
				}
				faults = append(faults, s.CheckRequest(method, p.template, text)...)
			}
		}
	}
	if len(faults) > 0 {
		slices.Sort(faults)
		return fmt.Errorf("openapi.yaml:\n%s", strings.Join(faults, "\n"))
	}
	return nil
}

type placed struct {
	value map[string]any
	at    string
}

// schemas lists every schema of the document, wherever it stands.
func (s *Spec) schemas() (all []placed) {
	var within func(v any, at string)
	within = func(v any, at string) {
		schema := object(v)
		if schema == nil {
			return
		}
		all = append(all, placed{schema, at})
		for name, p := range object(schema["properties"]) {
			within(p, at+"/properties/"+name)
		}
		within(schema["items"], at+"/items")
		for _, several := range []string{"allOf", "anyOf"} {
			for i, one := range list(schema[several]) {
				within(one, fmt.Sprint(at, "/", several, "/", i))
			}
		}
	}
	var find func(v any, at string)
	find = func(v any, at string) {
		switch v := v.(type) {
		case map[string]any:
			for name, child := range v {
				if name == "schema" {
					within(child, at+"/schema")
				} else if name != "example" {
					find(child, at+"/"+name)
				}
			}
		case []any:
			for i := range v {
				find(v[i], fmt.Sprint(at, "/", i))
			}
		}
	}
	find(s.root, "")
	for name, schema := range object(object(s.root["components"])["schemas"]) {
		within(schema, "/components/schemas/"+name)
	}
	return all
}

// kind is the JSON type of a value.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return fmt.Sprintf("%T", v)
}

// same compares a value of the document with one of JSON.
func same(want, got any) bool {
	if n, ok := got.(json.Number); ok {
		return fmt.Sprint(want) == n.String()
	}
	return reflect.DeepEqual(want, got)
}

// list is v as a list, nil when it is none.
func list(v any) []any { l, _ := v.([]any); return l }
