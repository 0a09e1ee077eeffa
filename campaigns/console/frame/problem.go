package frame

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"
)

// problemType begins every problem's type URI, as the public contract's do.
const problemType = "urn:spillway:problem:"

// Field is one bad value of a form or a JSON body.
type Field struct {
	Name   string // of the form's field or the JSON member; "" for the whole
	Code   string // such as "required", "too_long"
	Detail string // a sentence
}

// Problem is a refusal. Handlers return it as an error, or call Request.Problem,
// which is the same: pages get a page, JSON a problem document (RFC 9457).
type Problem struct {
	Status     int
	Code       string // a word of the contract: lower-case letters and '_'
	Detail     string // a sentence for people; no secrets, no donor's data
	Fields     []Field
	RetryAfter int // seconds, 0 for none
}

// Error tells the problem in a line.
func (p *Problem) Error() string { return strconv.Itoa(p.Status) + " " + p.Code + ": " + p.Detail }

// Problem is the refusal as an error that a handler returns.
func (r *Request) Problem(status int, code, detail string, fields ...Field) error {
	return &Problem{Status: status, Code: code, Detail: detail, Fields: fields}
}

// Invalid is the refusal of values.
func Invalid(fields ...Field) error {
	return &Problem{Status: fasthttp.StatusUnprocessableEntity, Code: "invalid_input", Detail: "At least one value is not allowed; nothing was changed.", Fields: fields}
}

// NotFound is the refusal when there is no such thing.
func NotFound(what string) error {
	return &Problem{Status: fasthttp.StatusNotFound, Code: "not_found", Detail: "There is no such " + what + "."}
}

// Forbidden is the refusal when the principal may not.
func Forbidden(detail string) error {
	return &Problem{Status: fasthttp.StatusForbidden, Code: "forbidden", Detail: detail}
}

// Conflict is the refusal when it is too late, or taken.
func Conflict(code, detail string) error {
	return &Problem{Status: fasthttp.StatusConflict, Code: code, Detail: detail}
}

// Busy is the refusal that asks to come back.
func Busy(detail string) error {
	return &Problem{Status: fasthttp.StatusServiceUnavailable, Code: "overloaded", Detail: detail, RetryAfter: 2}
}

// Unavailable is the refusal while the database or the broker cannot be reached.
func Unavailable(detail string) error {
	return &Problem{Status: fasthttp.StatusServiceUnavailable, Code: "unavailable", Detail: detail, RetryAfter: 2}
}

// AppendJSON appends the problem document; instance is the request's path.
func (p *Problem) AppendJSON(dst []byte, instance string) []byte {
	type field struct {
		Pointer string `json:"pointer"`
		Code    string `json:"code"`
		Detail  string `json:"detail"`
	}
	doc := struct {
		Type      string  `json:"type"`
		Title     string  `json:"title"`
		Status    int     `json:"status"`
		Detail    string  `json:"detail"`
		Instance  string  `json:"instance"`
		Code      string  `json:"code"`
		Retryable bool    `json:"retryable"`
		Fields    []field `json:"fields,omitempty"`
	}{problemType + p.Code, p.Title(), p.Status, p.Detail, instance, p.Code, p.Retryable(), nil}
	for _, f := range p.Fields {
		pointer := ""
		if f.Name != "" {
			pointer = "/" + f.Name
		}
		doc.Fields = append(doc.Fields, field{pointer, f.Code, f.Detail})
	}
	body, err := json.Marshal(doc)
	if err != nil { // text that is not UTF-8: say it without
		return fmt.Appendf(dst, `{"type":%q,"status":%d,"code":%q}`, problemType+p.Code, p.Status, p.Code)
	}
	return append(dst, body...)
}

// Retryable tells whether the same request may succeed later as it is.
func (p *Problem) Retryable() bool {
	return p.Status == fasthttp.StatusServiceUnavailable || p.Status == fasthttp.StatusTooManyRequests
}

// Title is a short sentence for the problem's status.
func (p *Problem) Title() string {
	switch p.Status {
	case fasthttp.StatusBadRequest:
		return "The request is not understood"
	case fasthttp.StatusUnauthorized:
		return "Sign in first"
	case fasthttp.StatusForbidden:
		return "This is not allowed"
	case fasthttp.StatusNotFound:
		return "There is nothing here"
	case fasthttp.StatusMethodNotAllowed:
		return "The method is not allowed here"
	case fasthttp.StatusConflict:
		return "This cannot be done now"
	case fasthttp.StatusRequestEntityTooLarge:
		return "That is too large"
	case fasthttp.StatusUnsupportedMediaType:
		return "The body's type is not supported"
	case fasthttp.StatusUnprocessableEntity:
		return "Something is not right yet"
	case fasthttp.StatusTooManyRequests:
		return "That was too often"
	case fasthttp.StatusServiceUnavailable:
		return "This cannot be reached at the moment"
	}
	return "Something is broken on our side"
}
