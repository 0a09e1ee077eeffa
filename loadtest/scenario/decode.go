package scenario

import (
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

const (
	// FileBytesMax bounds a file: a scenario is a page or two.
	FileBytesMax = 1 << 20
	// faultsTold bounds how many faults of one file are told.
	faultsTold = 20
)

// faultList gathers what is wrong with a file.
type faultList []string

func (f *faultList) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

func (f faultList) err() error {
	if len(f) == 0 {
		return nil
	}
	if more := len(f) - faultsTold; more > 0 {
		f = append(f[:faultsTold:faultsTold], fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%w: %s", ErrScenario, strings.Join(f, "; "))
}

// Load reads a ready scenario by its name, or else a file by its path: what has a
// slash or ends in .yaml or .yml is a path. Errors: ErrScenario, ErrUnknown, those of the file.
func Load(nameOrPath string) (*Scenario, error) {
	extension := filepath.Ext(nameOrPath)
	if !strings.ContainsRune(nameOrPath, filepath.Separator) && extension != ".yaml" && extension != ".yml" {
		return Ready(nameOrPath)
	}
	file, err := os.Open(nameOrPath)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, FileBytesMax+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	s, err := Decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameOrPath, err)
	}
	if replay := &s.Arrivals.Replay; *replay != "" && !filepath.IsAbs(*replay) {
		*replay = filepath.Join(filepath.Dir(nameOrPath), *replay)
	}
	return s, nil
}

// Decode reads a scenario strictly, and validates it. Errors: ErrScenario.
func Decode(text []byte) (*Scenario, error) {
	if len(text) > FileBytesMax {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrScenario, FileBytesMax)
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	var document, second yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return nil, fmt.Errorf("%w: %w", ErrScenario, err)
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: one document to a file, and here is another", ErrScenario)
	}
	s := &Scenario{}
	var d decoding
	d.value(document.Content[0], reflect.ValueOf(s).Elem(), "", "")
	if err := d.faults.err(); err != nil {
		return nil, err
	}
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return s, nil
}

// decoding fills Go values from nodes and gathers what does not fit.
type decoding struct{ faults faultList }

func (d *decoding) fault(n *yaml.Node, format string, args ...any) {
	d.faults.add("line %d: %s", n.Line, fmt.Sprintf(format, args...))
}

var (
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	durationType = reflect.TypeFor[time.Duration]()
)

// isLeaf tells whether a value is one word in the file.
func isLeaf(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(textType) || t.Kind() != reflect.Struct && t.Kind() != reflect.Slice && t.Kind() != reflect.Pointer
}

// value fills to; path is what people call it.
func (d *decoding) value(n *yaml.Node, to reflect.Value, path string, tag reflect.StructTag) {
	switch {
	case n.Kind == yaml.AliasNode:
		d.fault(n, "%s: an alias, and those are not read here: a short file could say a great deal with them", path)
	case n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		// nothing was said
	case to.Kind() == reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		d.value(n, to.Elem(), path, tag)
	case isLeaf(to.Type()):
		d.leaf(n, to, path, tag)
	case to.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			d.fault(n, "%s: want a list", path)
			return
		}
		to.Set(reflect.MakeSlice(to.Type(), len(n.Content), len(n.Content)))
		for i, c := range n.Content {
			d.value(c, to.Index(i), path+"["+strconv.Itoa(i)+"]", "")
		}
	default:
		d.mapping(n, to, path)
	}
}

func (d *decoding) mapping(n *yaml.Node, to reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, "%s: want keys and values", orFile(path))
		return
	}
	known := fieldsOf(to.Type())
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		full := strings.TrimPrefix(path+"."+key.Value, ".")
		f := find(known, key.Value)
		switch {
		case f == nil:
			d.fault(key, "%s: is not known%s", full, suggestion(key.Value, known, path))
		case seen[key.Value] != 0:
			d.fault(key, "%s: is in line %d already", full, seen[key.Value])
		default:
			seen[key.Value] = key.Line
			d.value(value, to.FieldByIndex(f.index), full, f.tag)
		}
	}
}

func orFile(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

// leaf reads one word and holds it to its field's bounds.
func (d *decoding) leaf(n *yaml.Node, to reflect.Value, path string, tag reflect.StructTag) {
	if n.Kind != yaml.ScalarNode {
		d.fault(n, "%s: want %s", path, wanted(to.Type()))
		return
	}
	if reader, ok := to.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := reader.UnmarshalText([]byte(n.Value)); err != nil {
			d.fault(n, "%s: %v", path, err)
		}
		return
	}
	err := n.Decode(to.Addr().Interface())
	// The decoder would cut 1.5 down to 1, and take 5 for nanoseconds.
	cut := to.Kind() == reflect.Int && n.Tag != "!!int" || to.Type() == durationType && n.Tag != "!!str"
	if err != nil || cut {
		d.fault(n, "%s: %q is not %s", path, n.Value, wanted(to.Type()))
		return
	}
	if bounds := tag.Get("bounds"); bounds != "" && !within(to, bounds) {
		least, most, _ := strings.Cut(bounds, "..")
		d.fault(n, "%s: %s is not between %s and %s", path, n.Value, least, most)
	}
	if words := tag.Get("enum"); words != "" && !isWord(n.Value, words) {
		d.fault(n, "%s: %q is none of %s", path, n.Value, strings.ReplaceAll(words, ",", ", "))
	}
	if pattern := tag.Get("pattern"); pattern != "" && !regexp.MustCompile(pattern).MatchString(n.Value) {
		d.fault(n, "%s: %q does not look like %s", path, n.Value, pattern)
	}
}

func isWord(word, of string) bool {
	for w := range strings.SplitSeq(of, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// within tells whether a value is in the bounds of its tag, both included.
func within(v reflect.Value, bounds string) bool {
	low, high, _ := strings.Cut(bounds, "..")
	if v.Type() == durationType {
		return time.Duration(v.Int()) >= mustDuration(low) && time.Duration(v.Int()) <= mustDuration(high)
	}
	least, most := mustNumber(low), mustNumber(high)
	number := 0.0
	if v.CanInt() {
		number = float64(v.Int())
	} else {
		number = v.Float()
	}
	return number >= least && number <= most
}

func mustDuration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err) // a tag above is wrong
	}
	return d
}

func mustNumber(text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(err) // a tag above is wrong
	}
	return v
}

func wanted(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a time with its unit, such as 30s"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String || reflect.PointerTo(t).Implements(textType):
		return "one value"
	case t.Kind() == reflect.Float64:
		return "a number"
	}
	return "a whole number"
}
