package postgres_test

import (
	"context"
	"flag"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"spillway/ingest"
	"spillway/ledger/search"
)

// rowsFlag is how many donations the benchmarks search; the project's bar is two
// million:
//
//	go test ./ledger/search/postgres -run '^$' -bench . -benchtime 50x -search.rows 2000000 -timeout 1h
var rowsFlag = flag.Int("search.rows", 20_000, "donations that the benchmarks of lists fill in")

// fillSQL fills the projection as two years of giving days would: some names far more
// often than others, one campaign with a quarter of all gifts and two thousand small
// ones, a tenth failed, few refunded or disputed, hidden or in another currency.
var fillSQL = []string{
	`CREATE TEMP TABLE made AS
	SELECT i AS seq, timestamptz '2026-01-01' + i * interval '20 s' AS received_at,
		(CASE WHEN random() < 0.6 THEN (ARRAY[1000, 2500, 5000, 10000])[1 + floor(random() * 4)] ELSE 100 + floor(exp(random() * 11)) END)::bigint AS amount,
		(lpad(to_hex(i), 12, '0') || '8' || substr(md5(i::text), 1, 2) || '0' || '8' || substr(md5(i::text), 4, 15))::text AS hex,
		(ARRAY['Ada','Bob','Carla','Dmitri','Eva','Farid','Grace','Hugo','Ines','José','Karl','Lena','Maria','Nils','Olga','Paul','Quentin','Rosa','Sofia','Tom'])[1 + floor(random() * random() * 20)] AS first,
		initcap(substr(md5((floor(random() * random() * 100000))::text), 1, 6)) AS last,
		CASE WHEN random() < 0.25 THEN 'the-big-one' ELSE 'campaign-' || floor(random() * 2000) END AS campaign,
		CASE WHEN random() < 0.002 THEN 'CHF' WHEN random() < 0.1 THEN 'EUR' ELSE 'USD' END AS currency, random() AS luck
	FROM generate_series(1, :rows) AS i`,
	`INSERT INTO search_donations SELECT seq, received_at, amount, 0, hex::uuid, NULL, false, false, currency,
		first || ' ' || last, lower(first) || '.' || lower(last) || '@example.org', '', '',
		ARRAY[lower(first) || '.' || lower(last) || '@example.org', lower(first), lower(last)], ARRAY[campaign], ARRAY[amount] FROM made ORDER BY seq`,
	`INSERT INTO search_words SELECT received_at, seq, word FROM search_donations, unnest(words) AS word ORDER BY word COLLATE "C", received_at, seq`,
	`INSERT INTO search_states SELECT seq, received_at, CASE WHEN luck < 0.004 THEN amount ELSE 0 END, NULL,
		CASE WHEN luck < 0.004 THEN 'refunded' WHEN luck < 0.0045 THEN 'disputed' WHEN luck < 0.1 THEN 'failed' WHEN luck < 0.11 THEN 'canceled' ELSE 'succeeded' END,
		'', 'pi_' || hex, CASE WHEN luck >= 0.11 OR luck < 0.0045 THEN 'ch_' || hex ELSE '' END FROM made ORDER BY seq`,
	`INSERT INTO search_lines SELECT received_at, seq, campaign FROM made ORDER BY campaign, seq`,
	`INSERT INTO search_hidden SELECT seq, now(), hex::uuid, 1, 'bench' FROM made WHERE luck BETWEEN 0.5 AND 0.5005`,
	`UPDATE search_progress SET rows = :rows, walked = NULL, as_of = now()`,
	`ANALYZE search_donations`, `ANALYZE search_states`, `ANALYZE search_lines`, `VACUUM ANALYZE search_words`, `VACUUM search_donations`, `VACUUM search_states`, `VACUUM search_lines`,
}

func filled(b *testing.B) *rig {
	b.Helper()
	r := newRig(b)
	began := time.Now()
	r.exec(b, "SET statement_timeout = 0; SET work_mem = '256MB'; SET maintenance_work_mem = '256MB'")
	for _, sql := range fillSQL {
		r.exec(b, strings.ReplaceAll(sql, ":rows", strconv.Itoa(*rowsFlag)))
	}
	b.Logf("%d rows filled in within %v", *rowsFlag, time.Since(began).Round(time.Second))
	return r
}

// BenchmarkList measures a page of each filter, newest first: the bar is 200 ms.
func BenchmarkList(b *testing.B) {
	r := filled(b)
	var some search.Row
	if page, err := r.List(b.Context(), search.Query{Limit: 1, Status: []string{"refunded"}}); err != nil || len(page.Rows) == 0 {
		b.Fatalf("%v %v", page, err)
	} else {
		some = page.Rows[0]
	}
	middle := noon.AddDate(-1, 2, 0)
	for _, c := range []struct {
		name string
		q    search.Query
	}{
		{"all", search.Query{}},
		{"status succeeded", search.Query{Status: []string{"succeeded"}}},
		{"status failed or canceled", search.Query{Status: []string{"failed", "canceled"}}},
		{"status disputed", search.Query{Status: []string{"disputed"}}},
		{"status charging (none)", search.Query{Status: []string{"charging"}}},
		{"campaign large", search.Query{Campaign: "the-big-one"}},
		{"campaign small", search.Query{Campaign: "campaign-7"}},
		{"campaign small, failed", search.Query{Campaign: "campaign-7", Status: []string{"failed"}}},
		{"campaign large, disputed", search.Query{Campaign: "the-big-one", Status: []string{"disputed"}}},
		{"amount 50.00 and more", search.Query{MinMinor: 5000}},
		{"amount 500.00 to 501.00", search.Query{MinMinor: 50000, MaxMinor: 50100}},
		{"amount 600.00 to 700.00 EUR", search.Query{MinMinor: 60000, MaxMinor: 70000, Currency: "EUR"}},
		{"currency rare", search.Query{Currency: "CHF"}},
		{"currency none", search.Query{Currency: "JPY"}},
		{"from, to", search.Query{From: middle, To: middle.AddDate(0, 0, 3)}},
		{"from, to, failed", search.Query{From: middle, To: middle.AddDate(0, 0, 3), Status: []string{"failed"}}},
		{"refunded", search.Query{Refunded: true}},
		{"hidden", search.Query{Hidden: true}},
		{"grants of three", search.Query{Campaigns: []string{"campaign-1", "campaign-2", "the-big-one"}}},
		{"name first, often", search.Query{Text: "ada"}},
		{"name, one letter", search.Query{Text: "a"}},
		{"name, two letters", search.Query{Text: "ma"}},
		{"name whole", search.Query{Text: some.Name}},
		{"name of nobody", search.Query{Text: "zzzzzz"}},
		{"name often, disputed", search.Query{Text: "ada", Status: []string{"disputed"}}},
		{"two names often", search.Query{Text: "ada e"}},
		{"e-mail", search.Query{Text: some.Email}},
		{"e-mail's beginning", search.Query{Text: some.Email[:len(some.Email)-8]}},
		{"id", search.Query{Text: ingest.DeriveID([]byte("of nobody that gave here")).String()}},
		{"payment", search.Query{Text: some.Intent}},
		{"charge", search.Query{Text: some.Charge}},
		{"refund (none)", search.Query{Text: "re_none"}},
		{"amount typed, often", search.Query{Text: "50"}},
		{"amount typed, seldom", search.Query{Text: "437.19"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			c.q.Newest = true
			var took []time.Duration
			rows, next := 0, false
			for b.Loop() {
				began := time.Now()
				page, err := r.List(context.Background(), c.q)
				if err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
				rows, next = len(page.Rows), page.Next != ""
			}
			slices.Sort(took)
			b.ReportMetric(float64(rows), "rows")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			if next && rows < search.LimitDefault {
				b.Log("more follows: the time of a page was used up")
			}
		})
	}
	b.Run("deep page", func(b *testing.B) {
		q := search.Query{Newest: true, After: search.NewCursor(middle, 1)}
		for b.Loop() {
			if page, err := r.List(context.Background(), q); err != nil || len(page.Rows) == 0 {
				b.Fatal(err)
			}
		}
	})
	b.Run("export", func(b *testing.B) {
		for b.Loop() {
			n, peak := 0, uint64(0)
			if err := r.Each(context.Background(), search.Query{Newest: true}, func(*search.Row) error {
				if n++; n%100_000 == 0 {
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapAlloc)
				}
				return nil
			}); err != nil || n != *rowsFlag {
				b.Fatalf("%d rows, %v", n, err)
			}
			b.ReportMetric(float64(n), "rows")
			b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
		}
	})
}
