package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"spillway/ingest/httpapi"
)

const usualHeaders = "Content-Type: application/json\r\nIdempotency-Key: " + key + "\r\n"

// wire is a donation with its request line and header written out.
func wire(requestLine, headers string) string {
	return requestLine + "\r\nHost: spillway.test\r\n" + usualHeaders + headers + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(sound)) + sound
}

// chunked is a donation in chunks; rest follows the header's first lines.
func chunked(headers, chunks string) string {
	return "POST /v1/donations HTTP/1.1\r\nHost: spillway.test\r\n" + headers + "Transfer-Encoding: chunked\r\n\r\n" + chunks
}

var oneChunk = fmt.Sprintf("%x\r\n%s\r\n0\r\n", len(sound), sound)

// Bytes that are no plain request, with the exact answer, and whether the
// connection ends with it.
func TestHTTP_HostileBytes(t *testing.T) {
	h := serve(t, options{config: httpapi.Config{ReadTimeout: 300 * time.Millisecond}})
	check := func(name, raw string, status int, code string, closes bool) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := h.dial(t)
			if _, err := io.WriteString(c, raw); err != nil {
				t.Fatal(err)
			}
			buffered := bufio.NewReader(c)
			r := read(t, buffered, "POST "+raw)
			if r.status != status || r.str("code") != code {
				t.Fatalf("%d %s, want %d %s: %s", r.status, r.str("code"), status, code, r.body)
			}
			if status != 202 {
				isProblem(t, r)
			}
			if !closes {
				return
			}
			if rest, err := io.ReadAll(buffered); err != nil || len(rest) > 0 {
				t.Errorf("after the answer: %q, %v, want the connection's end", rest, err)
			}
		})
	}
	post := "POST /v1/donations HTTP/1.1"
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

	// Two lengths, two framings: one parser sees one request, another two.
	check("Content-Length and Transfer-Encoding", chunked(usualHeaders+"Content-Length: 5\r\n", oneChunk+"\r\n"+smuggled), 400, "bad_request", true)
	check("Transfer-Encoding and Content-Length", "POST /v1/donations HTTP/1.1\r\nHost: x\r\n"+usualHeaders+"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"+oneChunk+"\r\n", 400, "bad_request", true)
	check("Content-Length twice, the same", wire(post, fmt.Sprintf("Content-Length: %d\r\n", len(sound))), 400, "bad_request", true)
	check("Content-Length twice, another", wire(post, "Content-Length: 0\r\n"), 400, "bad_request", true)
	for _, length := range []string{"+5", "-1", "5, 5", "0x5", "5 5", "5\x00", "99999999999999999999", "1e1", ""} {
		raw := "POST /v1/donations HTTP/1.1\r\nHost: x\r\n" + usualHeaders + "Content-Length: " + length + "\r\n\r\nhello" + smuggled
		check(fmt.Sprintf("Content-Length %q", length), raw, 400, "bad_request", true)
	}
	check("Transfer-Encoding identity", wire(post, "Transfer-Encoding: identity\r\n"), 400, "bad_request", true)
	for _, encoding := range []string{"xchunked", "gzip, chunked", "chunked, identity", "\x0bchunked", "chunked\x00", "\"chunked\"", "chunked;q=1"} {
		raw := "POST /v1/donations HTTP/1.1\r\nHost: x\r\n" + usualHeaders + "Transfer-Encoding: " + encoding + "\r\n\r\n" + oneChunk + "\r\n"
		check(fmt.Sprintf("Transfer-Encoding %q", encoding), raw, 400, "bad_request", true)
	}
	check("Transfer-Encoding twice", chunked(usualHeaders+"Transfer-Encoding: chunked\r\n", oneChunk+"\r\n"), 400, "bad_request", true)
	check("Transfer-Encoding with a space before its colon", "POST /v1/donations HTTP/1.1\r\nHost: x\r\n"+usualHeaders+"Transfer-Encoding : chunked\r\n\r\n"+oneChunk+"\r\n", 400, "bad_request", true)
	check("chunks in HTTP/1.0", "POST /v1/donations HTTP/1.0\r\nHost: x\r\n"+usualHeaders+"Transfer-Encoding: chunked\r\n\r\n"+oneChunk+"\r\n", 400, "bad_request", true)
	check("key in a trailer", chunked("Content-Type: application/json\r\n", oneChunk+"Idempotency-Key: "+key+"\r\n\r\n"), 400, "bad_request", true)
	check("key in an announced trailer", chunked("Content-Type: application/json\r\nTrailer: Idempotency-Key\r\n", oneChunk+"Idempotency-Key: "+key+"\r\n\r\n"), 400, "bad_request", true)
	check("any trailer", chunked(usualHeaders, oneChunk+"X-Sum: 1\r\n\r\n"), 400, "bad_request", true)
	check("two content types", wire(post, "Content-Type: application/json\r\n"), 400, "bad_request", true)

	// Chunks.
	check("chunks", chunked(usualHeaders, oneChunk+"\r\n"), 202, "", false)
	check("chunk of an odd size", chunked(usualHeaders, "xyz\r\n"+sound+"\r\n0\r\n\r\n"), 400, "bad_request", true)
	check("chunk of a size below 0", chunked(usualHeaders, "-5\r\n"+sound+"\r\n0\r\n\r\n"), 400, "bad_request", true)
	check("chunk of a size in C", chunked(usualHeaders, "0x5\r\nhello\r\n0\r\n\r\n"), 400, "bad_request", true)
	check("chunk of a size that overflows", chunked(usualHeaders, "fffffffffffffffff\r\n"+sound+"\r\n0\r\n\r\n"), 400, "bad_request", true)
	check("chunks with bare line feeds", chunked(usualHeaders, strings.ReplaceAll(oneChunk, "\r\n", "\n")+"\n"), 400, "bad_request", true)
	check("chunk longer than it says", chunked(usualHeaders, "5\r\nhello!\r\n0\r\n\r\n"), 400, "bad_request", true)
	check("chunk too large", chunked(usualHeaders, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", 32<<10+1, strings.Repeat(" ", 32<<10+1))), 413, "body_too_large", true)
	check("chunks too large together", chunked(usualHeaders, strings.Repeat(fmt.Sprintf("%x\r\n%s\r\n", 1<<10, strings.Repeat(" ", 1<<10)), 33)+"0\r\n\r\n"), 413, "body_too_large", true)

	// Lines.
	check("bare line feed in the header", "POST /v1/donations HTTP/1.1\r\nHost: x\r\n"+usualHeaders+fmt.Sprintf("X: y\nContent-Length: %d\r\n\r\n", len(sound))+sound, 400, "bad_request", true)
	check("folded line", wire(post, "X: y\r\n z\r\n"), 400, "bad_request", true)
	check("bare line feeds only", strings.ReplaceAll(wire(post, ""), "\r\n", "\n"), 408, "request_timeout", true)
	check("space before a colon", wire(post, "X : y\r\n"), 400, "bad_request", true)
	check("NUL in a header", wire(post, "X: a\x00b\r\n"), 400, "bad_request", true)
	check("carriage return in a header", wire(post, "X: a\rContent-Length: 0\r\n"), 400, "bad_request", true)
	check("no colon", wire(post, "nonsense\r\n"), 400, "bad_request", true)
	check("NUL in the path", wire("POST /v1/donations\x00 HTTP/1.1", ""), 400, "bad_request", true)
	check("two spaces", wire("POST  /v1/donations HTTP/1.1", ""), 400, "bad_request", true)
	check("tabs", wire("POST\t/v1/donations\tHTTP/1.1", ""), 400, "bad_request", true)
	check("no version", "POST /v1/donations\r\n\r\n", 400, "bad_request", true)
	check("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request", true)
	check("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n", 400, "bad_request", true)
	check("no host", "POST /v1/donations HTTP/1.1\r\n"+usualHeaders+fmt.Sprintf("Content-Length: %d\r\n\r\n", len(sound))+sound, 400, "bad_request", true)
	check("two hosts", wire(post, "Host: y\r\n"), 400, "bad_request", true)

	// Sizes.
	check("header of more than 8 KiB", wire(post, "X: "+strings.Repeat("x", 8<<10)+"\r\n"), 431, "header_too_large", true)
	check("header of many lines", wire(post, strings.Repeat("A: b\r\n", 2000)), 431, "header_too_large", true)
	check("path of more than 8 KiB", wire("POST /v1/donations?"+strings.Repeat("x", 8<<10)+" HTTP/1.1", ""), 431, "header_too_large", true)
	check("header of almost 8 KiB", wire(post, "X: "+strings.Repeat("x", 7<<10)+"\r\n"), 202, "", false)
	check("Content-Length of a gigabyte", "POST /v1/donations HTTP/1.1\r\nHost: x\r\n"+usualHeaders+"Content-Length: 1073741824\r\n\r\n", 413, "body_too_large", true)
	check("body that is still being sent", "POST /v1/donations HTTP/1.1\r\nHost: x\r\n"+usualHeaders+"Content-Length: 200000\r\n\r\n"+strings.Repeat("x", 200_000), 413, "body_too_large", true)

	// Time.
	check("body that stops", wire(post, "")[:len(wire(post, ""))-1], 408, "request_timeout", true)
	check("header that stops", "POST /v1/donations HTTP/1.1\r\nHost: x\r\n", 408, "request_timeout", true)
	check("request line that stops", "POST /v1/dona", 408, "request_timeout", true)

	// Paths: what a proxy saw is what is served.
	for _, path := range []string{"//v1/donations", "/v1//donations", "/v1/./donations", "/v1/x/../donations", "/v1/%64onations", "/v1/donations/", "/V1/donations",
		"/v1/donations;x", "/v1/donations%00", "/v1/donations%2f", "/v1\\donations", "/v1/donations/../../healthz"} {
		check("path "+path, wire("POST "+path+" HTTP/1.1", ""), 404, "no_such_route", false)
	}
	check("absolute URI", wire("POST http://spillway.test/v1/donations HTTP/1.1", ""), 202, "", false)
	check("query", wire("POST /v1/donations?amount=1 HTTP/1.1", ""), 202, "", false)
	check("method in small letters", wire("post /v1/donations HTTP/1.1", ""), 405, "method_not_allowed", false)
	check("CONNECT", "CONNECT spillway.test:443 HTTP/1.1\r\nHost: spillway.test\r\n\r\n", 404, "no_such_route", false)
	check("asterisk", "OPTIONS * HTTP/1.1\r\nHost: spillway.test\r\n\r\n", 404, "no_such_route", false)

	// Older and odder, and fine.
	check("HTTP/1.0", wire("POST /v1/donations HTTP/1.0", ""), 202, "", true)
	check("Connection: close", wire(post, "Connection: close\r\n"), 202, "", true)
	check("empty lines first", "\r\n\r\n"+wire(post, ""), 202, "", false)
	check("no length and no chunks", "POST /v1/donations HTTP/1.1\r\nHost: x\r\n"+usualHeaders+"\r\n", 400, "malformed_body", false)
}

// Refused bytes leave no donation behind.
func TestHTTP_HostileBytesPublishNothing(t *testing.T) {
	h := serve(t, options{})
	for _, raw := range []string{
		chunked(usualHeaders+"Content-Length: 5\r\n", oneChunk+"\r\n"),
		wire("POST /v1/donations HTTP/1.1", "Content-Length: 0\r\n"),
		chunked("Content-Type: application/json\r\n", oneChunk+"Idempotency-Key: "+key+"\r\n\r\n"),
		wire("POST /v1/donations HTTP/1.1", "Transfer-Encoding: identity\r\n"),
	} {
		if r := h.send(t, raw); r.status != 400 {
			t.Errorf("%d for %q", r.status, raw)
		}
	}
	if n := h.publisher.count(); n != 0 {
		t.Errorf("%d donations were published", n)
	}
}

func TestHTTP_PipelinedDonationsAreAnsweredInOrder(t *testing.T) {
	h := serve(t, options{})
	var raw strings.Builder
	const n = 20
	for i := range n {
		body := with("5000", fmt.Sprint(1000+i))
		fmt.Fprintf(&raw, "POST /v1/donations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nIdempotency-Key: pipelined-%08d\r\nContent-Length: %d\r\n\r\n%s", i, len(body), body)
		if i == n/2 { // a refusal in the middle changes nothing for the others
			raw.WriteString(request("POST", "/v1/donations", "{}x", "Content-Type: application/json", "Idempotency-Key: "+key))
		}
	}
	c := h.dial(t)
	if _, err := io.WriteString(c, raw.String()); err != nil {
		t.Fatal(err)
	}
	buffered := bufio.NewReader(c)
	for i := range n {
		r := read(t, buffered, "POST")
		if r.status != 202 || r.json["amount_minor"] != float64(1000+i) || r.str("id") != idOf(fmt.Sprintf("pipelined-%08d", i)).String() {
			t.Fatalf("answer %d: %d %s", i, r.status, r.body)
		}
		if i == n/2 {
			if r := read(t, buffered, "POST"); r.status != 400 {
				t.Fatalf("the refusal: %d %s", r.status, r.body)
			}
		}
	}
}

func TestHTTP_ExpectContinue(t *testing.T) {
	h := serve(t, options{})
	c := h.dial(t)
	head, body, _ := strings.Cut(wire("POST /v1/donations HTTP/1.1", "Expect: 100-continue\r\n"), "\r\n\r\n")
	if _, err := io.WriteString(c, head+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	buffered := bufio.NewReader(c)
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		if got, err := buffered.ReadString('\n'); err != nil || got != want {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	if _, err := io.WriteString(c, body); err != nil {
		t.Fatal(err)
	}
	if r := read(t, buffered, "POST"); r.status != 202 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// Connections beyond the bound are told so at once, in the contract's words, and
// those within it are served all the while.
func TestHTTP_ConnectionsAreBounded(t *testing.T) {
	const most = 8
	h := serve(t, options{config: httpapi.Config{Connections: most}})
	kept := make([]net.Conn, most)
	for i := range kept {
		kept[i] = h.dial(t)
		if _, err := io.WriteString(kept[i], request("GET", "/healthz", "")); err != nil {
			t.Fatal(err)
		}
		if r := read(t, bufio.NewReader(kept[i]), "GET"); r.status != 200 {
			t.Fatalf("connection %d: %d", i, r.status)
		}
	}
	c := h.dial(t)
	r := read(t, bufio.NewReader(c), "GET") // before anything is asked
	if r.status != 503 || r.str("code") != "overloaded" {
		t.Errorf("%d %s", r.status, r.body)
	}
	isProblem503(t, r)
	if _, err := io.WriteString(kept[0], donation(sound)); err != nil {
		t.Fatal(err)
	}
	if r := read(t, bufio.NewReader(kept[0]), "POST"); r.status != 202 {
		t.Errorf("within the bound: %d %s", r.status, r.body)
	}
	_ = kept[1].Close()
	eventually(t, "a place becomes free", func() bool {
		c, err := net.Dial("tcp", h.addr)
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(c, request("GET", "/healthz", "", "Connection: close"))
		answer, _ := io.ReadAll(c)
		return strings.HasPrefix(string(answer), "HTTP/1.1 200 ")
	})
}

func isProblem503(t *testing.T, r *reply) {
	t.Helper()
	if r.header.Get("Content-Type") != "application/problem+json" || r.header.Get("Retry-After") == "" || r.json["retryable"] != true {
		t.Errorf("%v %s", r.header, r.body)
	}
}

// eventually waits for an outcome, up to a generous time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// When connections get scarce, readers give theirs back after an answer and
// donors keep theirs.
func TestHTTP_ReadersGiveConnectionsBack(t *testing.T) {
	h := serve(t, options{config: httpapi.Config{Connections: 4}})
	ask := func(c net.Conn) *reply {
		t.Helper()
		if _, err := io.WriteString(c, request("GET", "/v1/donations/"+idOf(key).String(), "")); err != nil {
			t.Fatal(err)
		}
		return read(t, bufio.NewReader(c), "GET")
	}
	first := h.dial(t)
	if r := ask(first); r.closes {
		t.Error("closed with room to spare")
	}
	for range 3 {
		c := h.dial(t)
		if _, err := io.WriteString(c, donation(sound)); err != nil {
			t.Fatal(err)
		}
		if r := read(t, bufio.NewReader(c), "POST"); r.status != 202 || r.closes {
			t.Errorf("a donor: %d, closes %v", r.status, r.closes)
		}
	}
	if r := ask(first); !r.closes {
		t.Error("a reader keeps the last connection")
	}
}

func TestHTTP_ManyAtOnce(t *testing.T) {
	h := serve(t, options{})
	credential := "Spillway-Rehearsal: " + h.keys.RehearsalCredential()
	const clients, each = 16, 50
	var wg sync.WaitGroup
	for g := range clients {
		wg.Go(func() {
			c, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			buffered := bufio.NewReader(c)
			for i := range each {
				k := fmt.Sprintf("many-%04d-%08d", g, i)
				body := strings.TrimSuffix(with("5000", fmt.Sprint(1000+g*each+i)), "}") + fmt.Sprintf(`,"message":"escaped \u0021 by %s"}`, k)
				if _, err := io.WriteString(c, request("POST", "/v1/donations", body, "Content-Type: application/json", "Idempotency-Key: "+k, credential)); err != nil {
					t.Error(err)
					return
				}
				r := read(t, buffered, "POST")
				if r.status != 202 || r.str("id") != idOf(k).String() || r.json["amount_minor"] != float64(1000+g*each+i) {
					t.Errorf("%s: %d %s", k, r.status, r.body)
				}
			}
		})
	}
	wg.Wait()
	// What arrived at the publisher is what each client sent: no memory was shared.
	h.publisher.mu.Lock()
	defer h.publisher.mu.Unlock()
	if len(h.publisher.got) != clients*each {
		t.Fatalf("%d published", len(h.publisher.got))
	}
	seen := map[string]bool{}
	for _, p := range h.publisher.got {
		personal, err := h.keys.Open(p.record.ID, p.record.Sealed, p.record.SealKey)
		k, ok := strings.CutPrefix(personal.Message, "escaped ! by ")
		if err != nil || !ok || idOf(k) != p.record.ID || seen[k] {
			t.Fatalf("%v: %q, %v", p.record.ID, personal.Message, err)
		}
		seen[k] = true
		var g, i int
		_, _ = fmt.Sscanf(k, "many-%04d-%08d", &g, &i)
		if p.record.AmountMinor != int64(1000+g*each+i) || p.record.Lines[0].Campaign != "river-school" {
			t.Fatalf("%s: %+v", k, p.record)
		}
	}
}
