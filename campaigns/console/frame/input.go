package frame

import (
	"fmt"
	"io"
	"mime"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"
)

// Form is the first value of a field of the posted form, trimmed; "" when it is not
// there. Multipart forms are read too, the address is not: who sends somebody a link
// to a form must not fill it in.
func (r *Request) Form(name string) string {
	if all := r.FormAll(name); len(all) > 0 {
		return strings.TrimSpace(all[0])
	}
	return ""
}

// FormAll are all values of a field of the posted form, in order.
func (r *Request) FormAll(name string) []string {
	var all []string
	if form, err := r.ctx.MultipartForm(); err == nil {
		return append(all, form.Value[name]...)
	}
	for _, v := range r.ctx.PostArgs().PeekMulti(name) {
		all = append(all, string(v))
	}
	return all
}

// File is an uploaded file of the posted form: its name as the browser tells it
// (never a path to open) and its bytes, at most the route's BodyBytesMax.
//
// Errors: a *Problem when there is none.
func (r *Request) File(name string) (filename string, data []byte, err error) {
	header, err := r.ctx.FormFile(name)
	if err != nil {
		return "", nil, Invalid(Field{Name: name, Code: "required", Detail: "Choose a file."})
	}
	f, err := header.Open()
	if err != nil {
		return "", nil, fmt.Errorf("uploaded file: %w", err)
	}
	data, err = io.ReadAll(f)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return header.Filename, data, err
}

// JSON decodes the body into v, strictly: one JSON value, no unknown or repeated
// members, Content-Type application/json.
//
// Errors: a *Problem.
func (r *Request) JSON(v any) error {
	if media, _, err := mime.ParseMediaType(string(r.ctx.Request.Header.ContentType())); err != nil || media != "application/json" {
		return r.Problem(fasthttp.StatusUnsupportedMediaType, "unsupported_media_type", "Send Content-Type: application/json.")
	}
	if err := json.Unmarshal(r.ctx.PostBody(), v, json.RejectUnknownMembers(true)); err != nil {
		return r.Problem(fasthttp.StatusBadRequest, "malformed_body", "The body must be one JSON object with the members of the contract and no others.")
	}
	return nil
}

// Input reads what was sent into the struct that v points to: the JSON body below
// JSONRoot, else the posted form. Fields are named by their json tag, and are
// string, bool, int64, int, []string, or pointers to the first four (nil when not
// sent). In a form a bool is true when its box is checked, and an empty number is 0.
//
// Errors: a *Problem.
func (r *Request) Input(v any) error {
	if r.WantsJSON() {
		return r.JSON(v)
	}
	s := reflect.ValueOf(v).Elem()
	var faults []Field
	for i := range s.NumField() {
		name, _, _ := strings.Cut(s.Type().Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		if s.Field(i).Kind() == reflect.Slice {
			s.Field(i).Set(reflect.ValueOf(r.FormAll(name)).Convert(s.Field(i).Type()))
			continue
		}
		if f, bad := r.formField(s.Field(i), name); bad {
			faults = append(faults, f)
		}
	}
	if len(faults) > 0 {
		return Invalid(faults...)
	}
	return nil
}

// formField reads one field of a form; bad is true when it cannot be read.
func (r *Request) formField(to reflect.Value, name string) (f Field, bad bool) {
	text := r.Form(name)
	if to.Kind() == reflect.Pointer {
		if len(r.FormAll(name)) == 0 {
			return f, false
		}
		to.Set(reflect.New(to.Type().Elem()))
		to = to.Elem()
	}
	switch to.Kind() {
	case reflect.String:
		to.SetString(text)
	case reflect.Bool:
		to.SetBool(text != "" && text != "0" && text != "false")
	case reflect.Int, reflect.Int64:
		if text == "" {
			return f, false
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Field{Name: name, Code: "not_a_number", Detail: "This must be a whole number."}, true
		}
		to.SetInt(n)
	default:
		panic("frame: Input cannot read a " + to.Type().String()) // our own struct is wrong
	}
	return f, false
}
