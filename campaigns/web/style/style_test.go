package style_test

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"spillway/campaigns/web/style"
)

// pairs are colours that stand on each other, with the least contrast: 4.5 for text
// (WCAG 2.2, 1.4.3), 3 for what shows where a control is (1.4.11).
var pairs = []struct {
	front, ground string
	least         float64
}{
	{"ink", "bg", 4.5}, {"ink", "surface", 4.5}, {"ink", "sunken", 4.5},
	{"ink-2", "bg", 4.5}, {"ink-2", "surface", 4.5}, {"ink-2", "sunken", 4.5},
	{"accent", "bg", 4.5}, {"accent", "surface", 4.5}, {"accent", "sunken", 4.5},
	{"accent-strong", "bg", 4.5}, {"accent-strong", "surface", 4.5},
	{"accent-ink", "accent", 4.5}, {"accent-ink", "accent-strong", 4.5},
	{"on-soft", "accent-soft", 4.5}, {"good", "good-soft", 4.5}, {"warn", "warn-soft", 4.5}, {"bad", "bad-soft", 4.5},
	{"good", "surface", 4.5}, {"warn", "surface", 4.5}, {"bad", "surface", 4.5}, {"bg", "bad", 4.5},
	{"hero-ink", "hero", 4.5}, {"hero-ink", "hero-2", 4.5}, {"hero-ink-2", "hero", 4.5}, {"hero-ink-2", "hero-2", 4.5},
	{"line-strong", "bg", 3}, {"line-strong", "surface", 3}, {"focus", "bg", 3}, {"focus", "surface", 3}, {"accent", "accent-soft", 3},
}

func TestContrast(t *testing.T) {
	light, dark := palettes(t)
	for name, colours := range map[string]map[string][3]float64{"light": light, "dark": dark} {
		for _, p := range pairs {
			front, ok1 := colours[p.front]
			ground, ok2 := colours[p.ground]
			if !ok1 || !ok2 {
				t.Errorf("%s: no colour %s or %s", name, p.front, p.ground)
				continue
			}
			if c := contrast(front, ground); c < p.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", name, p.front, p.ground, c, p.least)
			}
		}
	}
}

func TestEveryPropertyThatIsUsedIsThere(t *testing.T) {
	css := string(style.CSS)
	for _, m := range regexp.MustCompile(`var\(--([a-z0-9-]+)`).FindAllStringSubmatch(css, -1) {
		if !strings.Contains(css, "--"+m[1]+":") {
			t.Errorf("--%s has no value", m[1])
		}
	}
	if regexp.MustCompile(`url\(["']?(?:https?:|//|/)`).MatchString(css) || strings.Contains(css, "@import") {
		t.Error("it refers to another file")
	}
	if strings.Count(css, "{") != strings.Count(css, "}") {
		t.Error("braces do not match")
	}
}

var property = regexp.MustCompile(`--([a-z0-9-]+): #([0-9a-f]{6});`)

// palettes reads the light colours, and those that dark replaces.
func palettes(t *testing.T) (light, dark map[string][3]float64) {
	t.Helper()
	before, after, ok := strings.Cut(string(style.CSS), "@media (prefers-color-scheme: dark) {")
	if !ok {
		t.Fatal("no dark colours")
	}
	after, _, _ = strings.Cut(after, "\n}\n")
	light, dark = map[string][3]float64{}, map[string][3]float64{}
	for _, m := range property.FindAllStringSubmatch(before, -1) {
		light[m[1]] = colour(t, m[2])
	}
	for _, m := range property.FindAllStringSubmatch(after, -1) {
		dark[m[1]] = colour(t, m[2])
	}
	if len(light) != len(dark) {
		t.Errorf("%d light colours, %d dark ones", len(light), len(dark))
	}
	return light, dark
}

// colour is a colour's linear parts (WCAG 2.2, "relative luminance").
func colour(t *testing.T, hex string) (parts [3]float64) {
	t.Helper()
	for i := range parts {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(fmt.Errorf("colour %s: %w", hex, err))
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			parts[i] = c / 12.92
		} else {
			parts[i] = math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return parts
}

func contrast(a, b [3]float64) float64 {
	luminance := func(c [3]float64) float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}
