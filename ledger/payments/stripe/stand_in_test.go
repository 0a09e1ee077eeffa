package stripe

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"spillway/ledger/payments"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's own clocks, of the endpoint that a test starts.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
	)
}

// asked is one request as the stand-in received it.
type asked struct {
	method, path string
	query, form  url.Values
	body         string
	header       http.Header
	remote       string // the other end of the connection
}

// standIn answers as Stripe would, in words given by the test, and remembers what
// it was asked.
type standIn struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []asked
	answer func(n int, a asked, w http.ResponseWriter) // n counts from 1
}

func newStandIn(t testing.TB, answer func(n int, a asked, w http.ResponseWriter)) *standIn {
	t.Helper()
	s := &standIn{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // a call that was given up
		}
		form, _ := url.ParseQuery(string(body))
		a := asked{r.Method, r.URL.Path, r.URL.Query(), form, string(body), r.Header.Clone(), r.RemoteAddr}
		s.mu.Lock()
		s.asked = append(s.asked, a)
		n := len(s.asked)
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		s.answer(n, a, w)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *standIn) requests() []asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]asked(nil), s.asked...)
}

// client speaks with the stand-in.
func (s *standIn) client(t testing.TB, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{Key: "sk_test_secret", BaseURL: s.URL, Timeout: 10 * time.Second}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// gift is an attempt's first call.
func gift(c *Client, change ...func(*payments.Charge)) *payments.Charge {
	ch := &payments.Charge{
		Donation: donationID, AttemptNo: 1, Currency: "USD", AmountMinor: 5000,
		Token: "ctoken_1", Campaigns: []string{"river-school", "hill-clinic"},
	}
	for _, f := range change {
		f(ch)
	}
	ch.Params = c.Params(ch)
	return ch
}

var donationID = [16]byte{0xab, 1, 2, 3, 4, 5, 0x80, 7, 0x80, 9, 10, 11, 12, 13, 14, 15}

const donationText = "ab010203-0405-8007-8009-0a0b0c0d0e0f"

// intentJSON is an intent of our donation in the given state.
func intentJSON(status string, more ...string) string {
	return fmt.Sprintf(`{"id":"pi_1","object":"payment_intent","status":%q,"amount":5000,"amount_received":5000,"currency":"usd",
		"created":1700000000,"metadata":{"donation":%q,"book":"live"}%s}`, status, donationText, strings.Join(more, ""))
}

const chargeJSON = `,"latest_charge":{"id":"ch_1","object":"charge","created":1700000001,"metadata":{},"balance_transaction":
	{"id":"txn_1","object":"balance_transaction","amount":5000,"fee":175,"net":4825,"currency":"usd"}}`

func errorJSON(fields string) string { return `{"error":{` + fields + `}}` }

func listJSON(more bool, rows ...string) string {
	return fmt.Sprintf(`{"object":"list","has_more":%v,"data":[%s]}`, more, strings.Join(rows, ","))
}

// say writes one answer.
func say(w http.ResponseWriter, status int, body string) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // whoever asked may be gone
}
