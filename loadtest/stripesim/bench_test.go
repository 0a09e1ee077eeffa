package stripesim

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// BenchmarkIntents creates and confirms intents through the handler, as calls of
// their own keys: what the stand-in itself costs, without the network. One core:
// go test -run '^$' -bench Intents -cpu 1.
func BenchmarkIntents(b *testing.B) {
	s, err := New(Config{Data: b.TempDir(), Seed: 7})
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		n := strconv.Itoa(i)
		body := "amount=5000&currency=usd&confirm=true&confirmation_token=ctoken_rehearsal_" + n +
			"&automatic_payment_methods[enabled]=true&expand[0]=latest_charge.balance_transaction" +
			"&metadata[donation]=01890a5d-ac96-774b-bcce-" + fmt.Sprintf("%012d", i) + "&metadata[attempt]=1&metadata[book]=live&metadata[campaigns]=river-school"
		r := httptest.NewRequest(http.MethodPost, "/v1/payment_intents", bytes.NewReader([]byte(body)))
		r.Header.Set("Idempotency-Key", "spillway:"+n+":1")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body.String())
		}
		if _, err := io.Copy(io.Discard, w.Body); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	n := float64(s.Stats().Intents)
	b.ReportMetric(n/b.Elapsed().Seconds(), "intents/s")
	b.ReportMetric(float64(m.HeapAlloc)/n, "heap-B/intent")
	b.ReportMetric(float64(s.Stats().LogBytes)/n, "log-B/intent")
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkHTTP is BenchmarkIntents over real connections; the client's share is in it.
func BenchmarkHTTP(b *testing.B) {
	s, err := New(Config{Data: b.TempDir(), Seed: 7})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, ln) }()
	var calls atomic.Int64
	url := "http://" + ln.Addr().String() + "/v1/payment_intents"
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := strconv.FormatInt(calls.Add(1), 10)
			req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(confirmForm+"ctoken_rehearsal_"+n+"&metadata[donation]="+n))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("Idempotency-Key", n)
			res, err := c.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
				b.Errorf("%d, %v", res.StatusCode, err)
			}
			if err := res.Body.Close(); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(calls.Load())/b.Elapsed().Seconds(), "intents/s")
	c.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStart rebuilds the state of 100,000 intents from their log.
func BenchmarkStart(b *testing.B) {
	const n = 100_000
	cfg := Config{Data: b.TempDir(), Seed: 7}
	s, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		key := strconv.Itoa(i)
		if status, body := serve(s, http.MethodPost, "/v1/payment_intents", confirmForm+"ctoken_rehearsal_"+key+"&metadata[donation]="+key, key); status != http.StatusOK {
			b.Fatal(body)
		}
	}
	for b.Loop() {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		if s, err = New(cfg); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "intents/s")
	if got := s.Stats().Intents; got != n {
		b.Errorf("%d intents", got)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
