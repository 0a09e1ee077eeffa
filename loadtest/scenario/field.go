package scenario

import (
	"reflect"
	"strings"

	"github.com/agnivade/levenshtein"
)

// field is one key that a struct has in a file.
type field struct {
	key   string
	index []int
	tag   reflect.StructTag
	of    reflect.Type
}

// fieldsOf lists the keys of a struct in order, those of inlined ones with them.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		key, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if options == "inline" {
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				all = append(all, inner)
			}
			continue
		}
		if key != "" && key != "-" {
			all = append(all, field{key: key, index: []int{i}, tag: f.Tag, of: f.Type})
		}
	}
	return all
}

func find(known []field, key string) *field {
	for i := range known {
		if known[i].key == key {
			return &known[i]
		}
	}
	return nil
}

// suggestion says what may have been meant: the key here that is written most alike,
// else where in the file a key of this name belongs, else what there is.
func suggestion(key string, known []field, path string) string {
	best, distance := "", max(2, len(key)/3)+1
	for _, f := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(key), f.key); d < distance {
			best, distance = f.key, d
		}
	}
	if best != "" {
		return "; did you mean " + best + "?"
	}
	if elsewhere := places(reflect.TypeFor[Scenario](), key, ""); len(elsewhere) > 0 {
		return "; there is " + strings.Join(elsewhere, " and ")
	}
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = f.key
	}
	return "; " + orFile(path) + " has " + strings.Join(names, ", ")
}

// places lists the paths that end in key.
func places(t reflect.Type, key, path string) (all []string) {
	for _, f := range fieldsOf(t) {
		full := strings.TrimPrefix(path+"."+f.key, ".")
		if f.key == key {
			all = append(all, full)
		}
		if f.of.Kind() == reflect.Struct && !isLeaf(f.of) {
			all = append(all, places(f.of, key, full)...)
		}
	}
	return all
}
