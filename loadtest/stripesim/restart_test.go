package stripesim

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76"
	"go.uber.org/goleak"
)

// asServer makes the test binary a stand-in on the folder that it names, to be killed.
const (
	asServer   = "TEST_STRIPESIM_DATA"
	webhooksTo = "TEST_STRIPESIM_WEBHOOKS"
)

// TestMain checks that no goroutine is left.
func TestMain(m *testing.M) {
	if dir := os.Getenv(asServer); dir != "" {
		if err := serveUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

func serveUntilKilled(dir string) error {
	s, err := New(Config{
		Data: dir, Seed: 7, Log: slog.New(slog.DiscardHandler), WebhookURL: os.Getenv(webhooksTo), WebhookSecret: webhookSecret,
		Faults: Faults{Webhooks: WebhookFaults{Delay: Span(20 * time.Millisecond)}},
	})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return s.Run(context.Background(), ln)
}

// victim is a stand-in in a process of its own.
type victim struct {
	url string
	cmd *exec.Cmd
}

func spawn(t *testing.T, dir, webhooks string) *victim {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asServer+"="+dir, webhooksTo+"="+webhooks)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child did not start: %v\n%s", err, &stderr)
	}
	return &victim{url: "http://" + strings.TrimSpace(line), cmd: cmd}
}

// kill is kill -9.
func (v *victim) kill(t *testing.T) {
	t.Helper()
	if err := v.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var ended *exec.ExitError
	if err := v.cmd.Wait(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
}

// TestKill_LosesNothingThatWasAnswered kills the process under load, several times.
// Every answer that a client ever got must be found again: the same intent, charged
// once, and the same words when the call is repeated; and every charge is told by a
// webhook, whatever was on its way when the process died.
func TestKill_LosesNothingThatWasAnswered(t *testing.T) {
	dir, in := t.TempDir(), openInbox(t)
	const rounds, hands = 4, 4
	var mu sync.Mutex
	answered := map[string]string{} // intent by key
	var asked atomic.Int64
	c := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: hands}}
	defer c.CloseIdleConnections()
	call := func(url, key string) (*stripe.PaymentIntent, error) {
		r := &rig{t: t, url: url, http: c, api: stripeClient(url, c)}
		return r.charge(key, 5000, "ctoken_rehearsal_"+key)
	}
	for range rounds {
		v := spawn(t, dir, in.URL)
		enough := make(chan struct{})
		var work sync.WaitGroup
		var got atomic.Int64
		for range hands {
			work.Go(func() {
				for {
					key := fmt.Sprint("key-", asked.Add(1))
					p, err := call(v.url, key)
					if err != nil {
						var e *stripe.Error
						if errors.As(err, &e) {
							t.Errorf("%s: %v", key, e)
						}
						return // killed
					}
					mu.Lock()
					answered[key] = p.ID
					mu.Unlock()
					if got.Add(1) == 150 {
						close(enough)
					}
				}
			})
		}
		<-enough
		v.kill(t) // in the middle of whatever the hands are at
		work.Wait()
	}
	// The tail of a write that the kill cut short, in case none of them was.
	f, err := os.OpenFile(filepath.Join(dir, logName), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.Write([]byte{0, 0, 1, 0, 'h', 'a', 'l', 'f', ' ', 'a'})
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}

	r := start(t, Config{Data: dir, WebhookURL: in.URL, WebhookSecret: webhookSecret})
	charges := r.books().Charged()
	for key, id := range answered {
		if len(charges[key]) != 1 || charges[key][0].Intent != id {
			t.Errorf("%s was answered %s; the books have %+v", key, id, charges[key])
		}
		p, err := call(r.url, key)
		if err != nil || p.ID != id || p.Status != stripe.PaymentIntentStatusSucceeded {
			t.Errorf("%s was answered %s, and now %+v, %v", key, id, p, err)
		}
	}
	for key, cs := range charges {
		if len(cs) != 1 {
			t.Errorf("%s was charged %d times", key, len(cs))
		}
	}
	checkBooks(t, r.books())
	told := map[any]bool{}
	until(t, "every charge is told", func() bool {
		for _, e := range in.received() {
			if e.Type == "charge.succeeded" {
				told[e.Data.Object["id"]] = true
			}
		}
		return len(told) == len(charges)
	})
	t.Logf("%d calls, %d answered, %d charges, %d webhooks of %d events", asked.Load(), len(answered), len(charges), len(in.received()), in.distinct())
}

func TestRestart_GoesOnWithWhatWasDue(t *testing.T) {
	cfg := Config{Data: t.TempDir(), SettleAfter: time.Hour, DisputeAfter: time.Hour, Faults: Faults{Donors: Donors{After: Span(time.Hour), SucceedRate: 1}}}
	r := start(t, cfg)
	disputed, err := r.charge("d-1", 5000, "ctoken_card_createDispute")
	if err != nil {
		t.Fatal(err)
	}
	acting, err := r.charge("d-2", 5000, "ctoken_card_authenticationRequired")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.server.Advance(30 * time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = start(t, cfg)
	if p, err := r.api.PaymentIntents.Get(acting.ID, nil); err != nil || p.Status != stripe.PaymentIntentStatusRequiresAction {
		t.Fatalf("%+v, %v", p, err)
	}
	if err := r.server.Advance(31 * time.Minute); err != nil { // 61 in all
		t.Fatal(err)
	}
	until(t, "the donor acts and the bank disputes", func() bool {
		p, err := r.api.PaymentIntents.Get(acting.ID, nil)
		if err != nil || p.Status != stripe.PaymentIntentStatusSucceeded {
			return false
		}
		c, err := r.api.Charges.Get(disputed.LatestCharge.ID, nil)
		return err == nil && c.Disputed
	})
}

func TestLog_IsOneProcessOnly(t *testing.T) {
	dir := t.TempDir()
	s, err := New(Config{Data: dir})
	if err != nil {
		t.Fatal(err)
	}
	if other, err := New(Config{Data: dir}); err == nil {
		t.Error("a second one opened it", other.Close())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, logName), []byte("a diary, and no log of ours at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := New(Config{Data: dir}); err == nil {
		t.Error("it took a diary for its log", s.Close())
	}
}

// TestLog_CutAnywhereIsTheStateBefore: of a log that ends in the middle of any
// record, everything before that record is found, and nothing else.
func TestLog_CutAnywhereIsTheStateBefore(t *testing.T) {
	dir := t.TempDir()
	s, err := New(Config{Data: dir, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	var ends []int64
	for i := range 5 {
		serve(s, "POST", "/v1/payment_intents", confirmForm+"ctoken_x", fmt.Sprint(i))
		ends = append(ends, s.Stats().LogBytes)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, logName))
	if err != nil {
		t.Fatal(err)
	}
	for cut := headSize; cut <= len(whole); cut += 13 {
		want := int64(0)
		for _, end := range ends {
			if end <= int64(cut) {
				want++
			}
		}
		at := t.TempDir()
		if err := os.WriteFile(filepath.Join(at, logName), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := New(Config{Data: at, Seed: 7, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Stats().Intents; got != want {
			t.Errorf("cut at %d: %d intents, want %d", cut, got, want)
		}
		status, _ := serve(s, "POST", "/v1/payment_intents", confirmForm+"ctoken_x", "another") // it goes on
		if err := s.Close(); status != 200 || err != nil {
			t.Errorf("cut at %d: %d, %v", cut, status, err)
		}
	}
}

// TestLog_ThatCannotBeWritten: nobody is told what is in no log, and Run ends.
func TestLog_ThatCannotBeWritten(t *testing.T) {
	s, err := New(Config{Seed: 7, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.log.f.Close(); err != nil { // as a disk that is full or gone
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background(), ln) }()
	c := &http.Client{Timeout: patience, Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	r := &rig{t: t, server: s, http: c, api: stripeClient("http://"+ln.Addr().String(), c)}
	_, err = r.charge("d-1", 5000, "ctoken_x")
	var e *stripe.Error
	if err == nil || errors.As(err, &e) {
		t.Errorf("it was answered: %v", err)
	}
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Errorf("run ended with %v", err)
	}
	// Reads tell too: the charge is known, and in no log.
	func() {
		defer func() {
			if stopped := recover(); stopped != http.ErrAbortHandler {
				t.Errorf("a read went on: %v", stopped)
			}
		}()
		_, body := serve(s, "GET", "/v1/payment_intents", "", "")
		t.Errorf("it was told: %s", body)
	}()
}

// TestLog_WhatIsCutStaysCut: of a record that went bad, everything behind is gone
// for good, even when what is written in its place is just as long.
func TestLog_WhatIsCutStaysCut(t *testing.T) {
	cfg := Config{Data: t.TempDir(), Seed: 7, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(1_800_000_000, 0) }}
	open := func() *Server {
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	charge := func(s *Server, i int) int64 {
		if status, body := serve(s, "POST", "/v1/payment_intents", confirmForm+"ctoken_x", fmt.Sprint("key-", i)); status != 200 {
			t.Fatal(body)
		}
		return s.Stats().LogBytes
	}
	s := open()
	var ends []int64
	for i := range 5 {
		ends = append(ends, charge(s, i))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.Data, logName)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole[ends[1]+frameHead+20] ^= 1 // in the third
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open()
	if n := s.Stats().Intents; n != 2 {
		t.Errorf("%d intents in front of a bad record", n)
	}
	if end := charge(s, 2); end != ends[2] {
		t.Fatalf("the new record ends at %d, the bad one did at %d: the test tests nothing", end, ends[2])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	if n := s.Stats().Intents; n != 3 {
		t.Errorf("%d intents: what was cut is back", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
