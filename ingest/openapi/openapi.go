// Package openapi holds the public contract as an OpenAPI 3.1 document. Tests of
// the packages that answer hold every answer to it.
package openapi

import _ "embed"

// Document is openapi.yaml as it is served. It is not to be changed.
//
//go:embed openapi.yaml
var Document []byte

// ContentType is the document's media type (RFC 9512).
const ContentType = "application/yaml"
