package scenario

import (
	"encoding/json"
	"reflect"
	"strings"
)

// SchemaID names the schema in files: `# yaml-language-server: $schema=...`.
const SchemaID = "https://spillway.example/scenario.schema.json"

// durationPattern is what time.ParseDuration reads, without a sign.
const durationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`

// sharePattern is what Share reads as text.
const sharePattern = `^[0-9]+(\.[0-9]+)?%?$`

// schema is the part of JSON Schema 2020-12 that is used here.
type schema struct {
	Dialect     string             `json:"$schema,omitempty"`
	ID          string             `json:"$id,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        any                `json:"type,omitempty"` // a string, or several
	Properties  map[string]*schema `json:"properties,omitempty"`
	Additional  *bool              `json:"additionalProperties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Minimum     *float64           `json:"minimum,omitempty"`
	Maximum     *float64           `json:"maximum,omitempty"`
}

// Schema is the JSON schema of a file, made of the very fields and bounds that Decode
// holds it to, for editors and pipelines.
func Schema() []byte {
	s := schemaOf(reflect.TypeFor[Scenario](), "")
	s.Dialect, s.ID, s.Title = "https://json-schema.org/draft/2020-12/schema", SchemaID, "A scenario of spillway rehearse"
	s.Required = []string{"name", "arrivals"}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(err) // no value of a schema can fail
	}
	return append(text, '\n')
}

func schemaOf(t reflect.Type, tag reflect.StructTag) *schema {
	s := &schema{Description: tag.Get("doc"), Pattern: tag.Get("pattern")}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if words := tag.Get("enum"); words != "" {
		s.Enum = strings.Split(words, ",")
	}
	switch {
	case t == durationType:
		s.Type, s.Pattern = "string", durationPattern
		if least, most, ok := strings.Cut(tag.Get("bounds"), ".."); ok {
			s.Description += " From " + least + " to " + most + "."
		}
	case t == reflect.TypeFor[Share]():
		s.Type, s.Pattern = []string{"string", "number"}, sharePattern
		s.Minimum, s.Maximum = pointer(0.), pointer(1.)
	case reflect.PointerTo(t).Implements(textType):
		s.Type = []string{"string", "number"}
	case t.Kind() == reflect.Slice:
		s.Type, s.Items = "array", schemaOf(t.Elem(), "")
	case t.Kind() == reflect.Struct:
		s.Type, s.Additional, s.Properties = "object", pointer(false), map[string]*schema{}
		for _, f := range fieldsOf(t) {
			s.Properties[f.key] = schemaOf(f.of, f.tag)
		}
	case t.Kind() == reflect.String:
		s.Type = "string"
	case t.Kind() == reflect.Bool:
		s.Type = "boolean"
	case t.Kind() == reflect.Float64:
		s.Type = "number"
		s.bound(tag)
	default:
		s.Type = "integer"
		s.bound(tag)
	}
	return s
}

func (s *schema) bound(tag reflect.StructTag) {
	if least, most, ok := strings.Cut(tag.Get("bounds"), ".."); ok {
		s.Minimum, s.Maximum = pointer(mustNumber(least)), pointer(mustNumber(most))
	}
}

func pointer[T any](v T) *T { return &v }
