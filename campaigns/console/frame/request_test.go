package frame_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"mime/multipart"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"spillway/campaigns/access"
	"spillway/campaigns/console/frame"
)

// request is one that was sent to path; log is what it wrote into the audit log.
func request(path, contentType, body string, log *[]access.Entry) (*frame.Request, *fasthttp.RequestCtx) {
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.SetRequestURI(path)
	ctx.Request.Header.SetMethod("POST")
	ctx.Request.Header.SetContentType(contentType)
	ctx.Request.SetBodyString(body)
	return frame.NewRequest(ctx, []frame.Param{{Name: "slug", Value: "river-school"}}, frame.Surroundings{
		Context: context.Background(), Principal: access.Principal{User: "u", Name: "ann@example.org"}, Network: "192.0.2.0/24",
		Now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Log: slog.New(slog.DiscardHandler),
		Audit: func(_ context.Context, e access.Entry) error { *log = append(*log, e); return nil },
		Shell: func(_ *frame.Request, c frame.Content) ([]byte, error) {
			return []byte(c.Title + "|" + string(c.HTML)), nil
		},
	}), ctx
}

const form = "application/x-www-form-urlencoded"

type input struct {
	Name   string   `json:"name"`
	Minor  int64    `json:"minor"`
	Open   bool     `json:"open"`
	Tags   []string `json:"tags"`
	Goal   *int64   `json:"goal"`
	Hidden *bool    `json:"hidden"`
	Beside string
}

func TestInput_ReadsFormsAndJSONAlike(t *testing.T) {
	goal, no := int64(7), false
	want := input{Name: "River School", Minor: -5, Open: true, Tags: []string{"a", "b"}, Goal: &goal, Hidden: &no}
	for name, c := range map[string][3]string{
		"form": {"/admin/x", form, "name=+River+School+&minor=-5&open=on&tags=a&tags=b&goal=7&hidden=0&unknown=1"},
		"JSON": {"/admin/v1/x", "application/json; charset=utf-8", `{"name":"River School","minor":-5,"open":true,"tags":["a","b"],"goal":7,"hidden":false}`},
	} {
		r, _ := request(c[0], c[1], c[2], nil)
		var got input
		if err := r.Input(&got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
	r, _ := request("/admin/x", form, "minor=", nil)
	var got input
	if err := r.Input(&got); err != nil || got.Goal != nil || got.Hidden != nil || got.Minor != 0 {
		t.Errorf("an empty form: %+v, %v", got, err)
	}
}

func TestInput_RefusesWhatItCannotRead(t *testing.T) {
	for name, c := range map[string]struct {
		path, contentType, body string
		status                  int
	}{
		"no number":       {"/admin/x", form, "minor=5.5&goal=x", 422},
		"unknown member":  {"/admin/v1/x", "application/json", `{"nome":"x"}`, 400},
		"repeated member": {"/admin/v1/x", "application/json", `{"name":"x","name":"y"}`, 400},
		"wrong type":      {"/admin/v1/x", "application/json", `{"minor":"5"}`, 400},
		"two values":      {"/admin/v1/x", "application/json", `{}{}`, 400},
		"no body":         {"/admin/v1/x", "application/json", ``, 400},
		"a form as JSON":  {"/admin/v1/x", form, `name=x`, 415},
	} {
		r, _ := request(c.path, c.contentType, c.body, nil)
		var in input
		var p *frame.Problem
		if err := r.Input(&in); !errors.As(err, &p) || p.Status != c.status {
			t.Errorf("%s: %v", name, err)
		} else if name == "no number" && len(p.Fields) != 2 {
			t.Errorf("%s: %+v", name, p.Fields)
		}
	}
}

func TestFile_IsWhatWasUploaded(t *testing.T) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile("sheet", "campaigns.csv")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = part.Write([]byte("slug,name\n"))
	_ = w.WriteField("dry", "on")
	_ = w.Close()
	r, _ := request("/admin/x", w.FormDataContentType(), body.String(), nil)
	name, data, err := r.File("sheet")
	if name != "campaigns.csv" || string(data) != "slug,name\n" || err != nil || r.Form("dry") != "on" {
		t.Errorf("%q %q %v", name, data, err)
	}
	var p *frame.Problem
	if _, _, err := r.File("other"); !errors.As(err, &p) || p.Status != 422 {
		t.Errorf("no file: %v", err)
	}
}

func TestAudit_AddsWho(t *testing.T) {
	var log []access.Entry
	r, _ := request("/admin/x", form, "", &log)
	if err := r.Audit("campaign.close", r.Param("slug"), "ends now"); err != nil {
		t.Fatal(err)
	}
	want := []access.Entry{{At: r.Now(), Actor: "u", Name: "ann@example.org", Network: "192.0.2.0/24", Action: "campaign.close", Subject: "river-school", Detail: "ends now"}}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := r.Audit("Closed the campaign", "", ""); !errors.Is(err, access.ErrInvalid) {
		t.Errorf("an action that is none: %v", err)
	}
}

func TestAuditSoon_KeepsWhatCannotBeWrittenNow(t *testing.T) {
	var kept []access.Entry
	away := true
	r := frame.NewRequest(&fasthttp.RequestCtx{}, nil, frame.Surroundings{
		Context: context.Background(), Now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		Audit: func(context.Context, access.Entry) error {
			if away {
				return access.ErrUnavailable
			}
			return nil
		},
		Keep: func(e access.Entry) error { kept = append(kept, e); return nil },
	})
	if err := r.AuditSoon("switch.off", "live", "too many"); err != nil || len(kept) != 1 || kept[0].Detail != "too many (at 2026-11-22T12:00:00Z, while the database was away)" {
		t.Errorf("%v, %+v", err, kept)
	}
	away = false
	if err := r.AuditSoon("switch.on", "live", ""); err != nil || len(kept) != 1 {
		t.Errorf("%v, %+v", err, kept)
	}
	if err := r.AuditSoon("Switched", "live", ""); !errors.Is(err, access.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestPage_SendsNothingOfATemplateThatFails(t *testing.T) {
	files := fstest.MapFS{"t/page.html": {Data: []byte(`{{money .Minor "USD"}} {{plural .N "gift" "gifts"}} {{when .At}} {{asset "x.js"}} {{.Name}} {{template "line"}}`)},
		"t/line.html": {Data: []byte(`{{define "line"}}line{{end}}`)}, "a/x.js": {Data: []byte(strings.Repeat("alert(1);", 50))}}
	assets := frame.NewAssets(files, "a")
	page := frame.Parse(files, assets, "t/page.html", "t/line.html")
	r, ctx := request("/admin/x", form, "", nil)
	data := map[string]any{"Minor": int64(123456789), "N": 1, "At": time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC), "Name": "<b>"}
	r.Status(422)
	if err := r.Page("Title", page, data); err != nil {
		t.Fatal(err)
	}
	x := assets.List()[0]
	want := `Title|1,234,567.89 USD 1 gift <time datetime="2026-11-22T09:30:00Z">2026-11-22 09:30 UTC</time> ` + x.URL + " &lt;b&gt; line"
	if got := string(ctx.Response.Body()); got != want || ctx.Response.StatusCode() != 422 {
		t.Errorf("%d %q, want %q", ctx.Response.StatusCode(), got, want)
	}
	if !strings.HasPrefix(x.URL, frame.AssetRoot+"x.") || !strings.HasSuffix(x.URL, ".js") || x.Gzip == nil || x.ContentType != "text/javascript; charset=utf-8" {
		t.Errorf("%+v", x)
	}
	r, ctx = request("/admin/x", form, "", nil)
	if err := r.Page("Title", template.Must(template.New("").Parse("half {{.None.Of}}")), struct{ None *input }{}); err == nil || len(ctx.Response.Body()) > 0 {
		t.Errorf("%v, %q was sent", err, ctx.Response.Body())
	}
}

func TestProblem_IsADocument(t *testing.T) {
	p := frame.Invalid(frame.Field{Name: "email", Code: "invalid", Detail: "<no>"}).(*frame.Problem)
	var doc map[string]any
	if err := json.Unmarshal(p.AppendJSON(nil, "/admin/v1/x"), &doc); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"type": "urn:spillway:problem:invalid_input", "title": p.Title(), "status": 422.0, "detail": p.Detail, "instance": "/admin/v1/x",
		"code": "invalid_input", "retryable": false, "fields": []any{map[string]any{"pointer": "/email", "code": "invalid", "detail": "<no>"}}}
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := json.Unmarshal((&frame.Problem{Status: 404, Code: "not_found", Detail: "\xff"}).AppendJSON(nil, "/x\xff"), &doc); err != nil {
		t.Errorf("text that is not UTF-8: %v", err)
	}
}

func TestFlash_IsShownOnce(t *testing.T) {
	r, ctx := request("/admin/x", form, "", nil)
	sentence := "Saved: " + strings.Repeat("é", 500)
	if err := r.Redirect("/admin/y", sentence); err != nil {
		t.Fatal(err)
	}
	var c fasthttp.Cookie
	c.SetKey("spillway_flash")
	if !ctx.Response.Header.Cookie(&c) || !c.HTTPOnly() || ctx.Response.StatusCode() != 303 {
		t.Fatalf("%d, %v", ctx.Response.StatusCode(), &c)
	}
	r, ctx = request("/admin/y", form, "", nil)
	ctx.Request.Header.SetCookieBytesKV(c.Key(), c.Value())
	if got := r.TakeFlash(); !strings.HasPrefix(got, "Saved: é") || !strings.HasPrefix(sentence, got) {
		t.Errorf("%q", got)
	}
	if !ctx.Response.Header.Cookie(&c) || len(c.Value()) > 0 {
		t.Error("it is shown again")
	}
	for _, bad := range []string{"!", "AAAA", strings.Repeat("A", 2000)} {
		r, ctx = request("/admin/y", form, "", nil)
		ctx.Request.Header.SetCookie("spillway_flash", bad)
		if got := r.TakeFlash(); bad != "AAAA" && got != "" {
			t.Errorf("%q shows %q", bad, got)
		}
	}
}

func TestStream_TellsWhenThereIsNoRoom(t *testing.T) {
	ctx := &fasthttp.RequestCtx{}
	room := true
	r := frame.NewRequest(ctx, nil, frame.Surroundings{Log: slog.New(slog.DiscardHandler), Stream: func(time.Duration) (context.Context, func(), bool) {
		return context.Background(), func() { room = true }, room
	}})
	write := func(_ context.Context, w *bufio.Writer) error {
		_, err := w.WriteString("data: 1\n\n")
		return err
	}
	if err := r.Stream("text/event-stream", time.Minute, write); err != nil {
		t.Fatal(err)
	}
	if got := string(ctx.Response.Body()); got != "data: 1\n\n" {
		t.Errorf("%q", got)
	}
	room = false
	var p *frame.Problem
	if err := r.Stream("text/event-stream", time.Minute, write); !errors.As(err, &p) || p.Status != 503 || p.RetryAfter == 0 {
		t.Errorf("%v", err)
	}
}
