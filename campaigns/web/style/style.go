// Package style is the look that everything people see in a browser shares: the
// donors' pages and the organiser's console.
//
// The one invariant: colours, sizes and shapes stand in one file, base.css, as
// custom properties with a light and a dark value each; pages use the properties
// and never a colour of their own. Text on its ground has a contrast of at least
// 4.5, borders that carry meaning 3 (a test computes both).
package style

import _ "embed"

// CSS is base.css: properties, elements and the few components that pages and
// console have in common. It refers to no other file.
//
//go:embed base.css
var CSS []byte
