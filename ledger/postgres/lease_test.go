package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"spillway/ledger"
)

// ttl is a lease that lapses while a test waits.
const ttl = 50 * time.Millisecond

func TestAcquire_ProcessesThatStartTogetherGetSlotsOfTheirOwn(t *testing.T) {
	db, _ := open(t)
	book := db.Book(ledger.Live)
	var mu sync.Mutex
	held := map[int32]bool{}
	var wg sync.WaitGroup
	for n := range 12 {
		wg.Go(func() {
			lease, err := book.Acquire(context.Background(), fmt.Sprint("process ", n), time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if held[lease.Slot] || lease.Term != 1 || lease.Epoch != 1 || lease.Book != ledger.Live || lease.Slot < 1 || lease.Slot > 12 {
				t.Errorf("unexpected lease %+v", lease)
			}
			held[lease.Slot] = true
		})
	}
	wg.Wait()
}

func TestAcquire_TakesAClosedSlotUnderTheNextTerm(t *testing.T) {
	db, _ := open(t)
	book, first := leased(t, db)
	if err := book.Release(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	second, err := book.Acquire(t.Context(), "next", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if second.Slot != first.Slot || second.Term != first.Term+1 {
		t.Errorf("got %+v after %+v", second, first)
	}
	for name, err := range map[string]error{
		"renew":   book.Renew(t.Context(), first, time.Minute),
		"release": book.Release(t.Context(), first),
	} {
		if !errors.Is(err, ledger.ErrFenced) {
			t.Errorf("%s under the old term: got %v, want ErrFenced", name, err)
		}
	}
	if _, _, err := book.Record(t.Context(), first, gifts("late", 3, "harbour"), nil); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("record under the old term: got %v, want ErrFenced", err)
	}
	if _, _, err := book.Slots(t.Context(), first); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("slots under the old term: got %v, want ErrFenced", err)
	}
}

// lapse waits until the database's clock says that the lease has run out.
func lapse(t *testing.T, url string, lease ledger.Lease) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		if count(t, url, "SELECT count(*) FROM slot_leases WHERE slot = $1 AND until < clock_timestamp()", lease.Slot) == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the lease does not lapse")
		}
	}
}

func TestAdoptLapsed_FencesTheHolderAndMayLapseItself(t *testing.T) {
	db, url := open(t)
	book := db.Book(ledger.Live)
	zombie, err := book.Acquire(t.Context(), "zombie", ttl)
	if err != nil {
		t.Fatal(err)
	}
	live, err := book.Acquire(t.Context(), "live", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	lapse(t, url, zombie)
	adopted, err := book.AdoptLapsed(t.Context(), "live", ttl)
	if err != nil {
		t.Fatal(err)
	}
	if len(adopted) != 1 || adopted[0].Slot != zombie.Slot || adopted[0].Term != zombie.Term+1 {
		t.Fatalf("adopted %+v, want slot %d alone", adopted, zombie.Slot)
	}
	if _, _, err := book.Record(t.Context(), zombie, gifts("late", 3, "harbour"), nil); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("the zombie records: %v", err)
	}
	if err := book.Renew(t.Context(), zombie, time.Minute); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("the zombie renews: %v", err)
	}
	if err := book.Renew(t.Context(), live, time.Minute); err != nil {
		t.Errorf("the living cannot renew: %v", err)
	}
	// The adopter dies before it closes the slot.
	lapse(t, url, adopted[0])
	again, err := book.AdoptLapsed(t.Context(), "live", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if len(again) != 1 || again[0].Slot != zombie.Slot || again[0].Term != zombie.Term+2 {
		t.Fatalf("adopted %+v, want slot %d again", again, zombie.Slot)
	}
	if err := book.Release(t.Context(), again[0]); err != nil {
		t.Error(err)
	}
}

func TestRenew_ALapsedLeaseThatNobodyAdopted(t *testing.T) {
	db, url := open(t)
	book := db.Book(ledger.Live)
	lease, err := book.Acquire(t.Context(), "slow", ttl)
	if err != nil {
		t.Fatal(err)
	}
	lapse(t, url, lease)
	if err := book.Renew(t.Context(), lease, time.Minute); err != nil {
		t.Error(err)
	}
	if adopted, err := book.AdoptLapsed(t.Context(), "other", ttl); err != nil || len(adopted) != 0 {
		t.Errorf("adopted %+v, %v", adopted, err)
	}
}

// TestAdoptLapsed_WaitsForATransactionInFlight: a zombie's transaction that holds
// the fence commits before the adoption, and what the adopter then reads holds it.
func TestAdoptLapsed_WaitsForATransactionInFlight(t *testing.T) {
	db, url := open(t)
	book := db.Book(ledger.Live)
	zombie, err := book.Acquire(t.Context(), "zombie", ttl)
	if err != nil {
		t.Fatal(err)
	}
	lapse(t, url, zombie)
	conn := connect(t, url)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT 1 FROM slot_terms WHERE slot = $1 AND term = $2 FOR SHARE", zombie.Slot, zombie.Term); err != nil {
		t.Fatal(err)
	}
	done := make(chan []ledger.Lease, 1)
	go func() {
		adopted, err := book.AdoptLapsed(context.Background(), "adopter", time.Minute)
		if err != nil {
			t.Error(err)
		}
		done <- adopted
	}()
	waiting(t, url)
	if _, err := tx.Exec(t.Context(), "INSERT INTO slots (slot, campaign, currency, pledged_minor, donations, version) VALUES ($1, 'harbour', 'USD', 1000, 1, 1)", zombie.Slot); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
		t.Fatal("adopted while a transaction of the old term was in flight")
	default:
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	adopted := <-done
	if len(adopted) != 1 {
		t.Fatalf("adopted %+v", adopted)
	}
	rows, _, err := book.Slots(t.Context(), adopted[0])
	if err != nil || len(rows) != 1 || rows[0].PledgedMinor != 1000 {
		t.Errorf("the adopter reads %+v, %v", rows, err)
	}
}

// waiting returns once some session waits for a lock.
func waiting(t *testing.T, url string) {
	t.Helper()
	for deadline := time.Now().Add(patience); count(t, url, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()") == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits")
		}
	}
}

func TestSlots_WaitsForATransactionInFlight(t *testing.T) {
	db, url := open(t)
	book, lease := leased(t, db)
	conn := connect(t, url)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT 1 FROM slot_terms FOR SHARE"); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "INSERT INTO slots (slot, campaign, currency, pledged_minor, donations, version) VALUES ($1, 'harbour', 'USD', 1000, 1, 1)", lease.Slot); err != nil {
		t.Fatal(err)
	}
	done := make(chan int, 1)
	go func() {
		rows, _, err := book.Slots(context.Background(), lease)
		if err != nil {
			t.Error(err)
		}
		done <- len(rows)
	}()
	waiting(t, url)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := <-done; n != 1 {
		t.Errorf("%d rows", n)
	}
}

func TestLease_OfAnEarlierEpochIsFenced(t *testing.T) {
	db, url := open(t)
	book, before := leased(t, db)
	// A restore: the epoch rises, and the slot's term is reached once more.
	for _, sql := range []string{"UPDATE installation SET epoch = 2", "UPDATE slot_terms SET term = 0", "UPDATE slot_leases SET closed = true"} {
		if _, err := connect(t, url).Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	after, err := book.Acquire(t.Context(), "after", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if after.Slot != before.Slot || after.Term != before.Term || after.Epoch != 2 {
		t.Fatalf("got %+v after %+v", after, before)
	}
	if _, _, err := book.Record(t.Context(), before, gifts("from before", 1, "harbour"), nil); !errors.Is(err, ledger.ErrFenced) {
		t.Errorf("got %v, want ErrFenced", err)
	}
}
