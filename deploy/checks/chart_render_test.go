package checks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"
)

// chartDir is the chart under test.
var chartDir = filepath.Join(deploy, "chart")

// files is what a chart's templates read by .Files.
type files string

// Get returns a file of the chart, empty when there is none, as Helm's does.
func (f files) Get(name string) string {
	b, err := os.ReadFile(filepath.Join(string(f), name))
	if err != nil {
		return ""
	}
	return string(b)
}

// valuesOf lays overlays over the chart's own values, as Helm does: maps are merged,
// everything else is replaced.
func valuesOf(t *testing.T, overlays ...string) map[string]any {
	t.Helper()
	merged := map[string]any{}
	for _, text := range append([]string{read(t, "chart/values.yaml")}, overlays...) {
		var values map[string]any
		if err := yaml.UnmarshalStrict([]byte(text), &values); err != nil {
			t.Fatal(err)
		}
		lay(merged, values)
	}
	return merged
}

func lay(under, over map[string]any) {
	for key, value := range over {
		if m, ok := value.(map[string]any); ok {
			if below, ok := under[key].(map[string]any); ok {
				lay(below, m)
				continue
			}
		}
		under[key] = value
	}
}

// judge holds values against the chart's schema, as helm install does first.
func judge(t *testing.T, values map[string]any) error {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join(chartDir, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(instance)
}

// render executes the chart's templates with the functions that Helm adds to sprig's. It
// is stricter than Helm in one thing: a value that nobody gave is an error, not empty.
// Helm's own engine brings a client for Kubernetes along, minutes of compiling.
func render(values map[string]any) (map[string]string, error) {
	root := template.New("chart").Option("missingkey=error")
	functions := sprig.TxtFuncMap()
	maps.Copy(functions, template.FuncMap{
		"toYaml": func(v any) (string, error) {
			b, err := yaml.Marshal(v)
			return strings.TrimSuffix(string(b), "\n"), err
		},
		"fromYaml": func(text string) (map[string]any, error) {
			var m map[string]any
			return m, yaml.Unmarshal([]byte(text), &m)
		},
		"include": func(name string, data any) (string, error) {
			var b strings.Builder
			err := root.ExecuteTemplate(&b, name, data)
			return b.String(), err
		},
		"fail": func(text string) (string, error) { return "", errors.New(text) },
		"required": func(text string, v any) (any, error) {
			if v == nil || v == "" {
				return nil, errors.New(text)
			}
			return v, nil
		},
	})
	root.Funcs(functions)
	var meta map[string]any
	b, err := os.ReadFile(filepath.Join(chartDir, "Chart.yaml"))
	if err != nil {
		return nil, err
	}
	if err := yaml.UnmarshalStrict(b, &meta); err != nil {
		return nil, err
	}
	chart := map[string]any{"Name": meta["name"], "Version": meta["version"], "AppVersion": meta["appVersion"]}
	var names []string
	err = filepath.WalkDir(filepath.Join(chartDir, "templates"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := filepath.Base(path)
		if !strings.HasPrefix(name, "_") {
			names = append(names, name)
		}
		_, err = root.New(name).Parse(string(text))
		return err
	})
	if err != nil {
		return nil, err
	}
	rendered := map[string]string{}
	for _, name := range names {
		var out strings.Builder
		err := root.ExecuteTemplate(&out, name, map[string]any{
			"Values": values, "Chart": chart, "Files": files(chartDir),
			"Release": map[string]any{"Name": "day", "Namespace": "giving", "Service": "Helm", "Revision": 1},
		})
		if err != nil {
			return nil, err
		}
		rendered[name] = out.String()
	}
	return rendered, nil
}

var separator = regexp.MustCompile(`(?m)^---\s*$`)

// object is one manifest, as it is and as JSON's values.
type object struct {
	kind, name string
	text       []byte
	content    map[string]any
}

// objects takes rendered templates apart.
func objects(rendered map[string]string) ([]object, error) {
	var all []object
	for file, text := range rendered {
		if !strings.HasSuffix(file, ".yaml") {
			continue
		}
		for _, document := range separator.Split(text, -1) {
			var content map[string]any
			if err := yaml.UnmarshalStrict([]byte(document), &content); err != nil {
				return nil, fmt.Errorf("%s: %w\n%s", file, err, document)
			}
			if content == nil {
				continue
			}
			kind, _ := content["kind"].(string)
			meta, _ := content["metadata"].(map[string]any)
			name, _ := meta["name"].(string)
			all = append(all, object{kind, name, []byte(document), content})
		}
	}
	return all, nil
}
