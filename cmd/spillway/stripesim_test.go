package main

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"testing"

	"spillway/loadtest/stripesim"
)

// TestStripesim_KeepsWhatItAnswered charges at a stand-in that runs alone, kills it,
// and finds the charge in the books of the next one.
func TestStripesim_KeepsWhatItAnswered(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	base, data := "http://"+address, t.TempDir()
	args := []string{"stripesim", "--listen", address, "--data", data, "--seed", "7", "--latency", "1ms", "--latency-p99", "2ms"}
	up := func() *child {
		c := launch(t, args...)
		eventually(t, func() error {
			_, _, err := get(base + "/sim/stats")
			return err
		})
		return c
	}
	c := up()
	res, err := client.PostForm(base+"/v1/payment_intents", url.Values{
		"amount": {"5000"}, "currency": {"usd"}, "confirm": {"true"}, "confirmation_token": {"ctoken_card_visa"}, "metadata[donation]": {"d-1"},
	})
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%+v, %v", res, err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	c.wait()

	c = up()
	res, err = client.Get(base + "/sim/books")
	if err != nil {
		t.Fatal(err)
	}
	books, err := stripesim.ReadBooks(res.Body)
	if e := res.Body.Close(); err == nil {
		err = e
	}
	if err != nil || len(books.Charged()["d-1"]) != 1 || books.Totals[0].Charged != 5000 {
		t.Errorf("%+v, %v", books, err)
	}
	c.stop()
}

func TestStripesim_RefusesWhatItCannotBe(t *testing.T) {
	for _, args := range [][]string{
		{"--decline", "2"}, {"--webhook-url", "http://127.0.0.1:1"}, {"--outage", "sulking"}, {"--limit-account", "-1"},
		{"--latency", "2s", "--latency-p99", "1s"}, {"--listen", "nowhere"},
	} {
		if status := run(append([]string{"stripesim", "--seed", "7"}, args...), nil, io.Discard, io.Discard); status == 0 {
			t.Errorf("%v: exit status %d", args, status)
		}
	}
}
