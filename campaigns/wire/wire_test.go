package wire_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/bufbuild/protocompile"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"spillway/campaigns"
	"spillway/campaigns/wire"
	"spillway/ledger"
	"spillway/ledger/money"
)

func drawHead(t *rapid.T) campaigns.FrameHead {
	h := campaigns.FrameHead{
		Book:   rapid.SampledFrom(ledger.Books).Draw(t, "book"),
		Slot:   rapid.Int32Min(0).Draw(t, "slot"),
		Epoch:  rapid.Int64Min(0).Draw(t, "epoch"),
		Term:   rapid.Int64Min(0).Draw(t, "term"),
		Number: rapid.Int64Min(0).Draw(t, "number"),
		Closed: rapid.Bool().Draw(t, "closed"),
	}
	if h.Chain.N = rapid.Int64Min(0).Draw(t, "chain"); h.Chain.N > 0 {
		copy(h.Chain.Hash[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
	}
	if ns := rapid.Int64Min(0).Draw(t, "counted through"); ns > 0 {
		h.CountedThrough = time.Unix(0, ns).UTC()
	}
	return h
}

func drawRow(t *rapid.T) campaigns.SlotRow {
	return campaigns.SlotRow{
		Campaign:     drawSlug(t),
		Currency:     rapid.SampledFrom([]money.Currency{"USD", "EUR", "JPY"}).Draw(t, "currency"),
		PledgedMinor: rapid.Int64().Draw(t, "pledged"),
		RaisedMinor:  rapid.Int64().Draw(t, "raised"),
		Donations:    rapid.Int64().Draw(t, "donations"),
		Version:      rapid.Int64Min(0).Draw(t, "version"),
	}
}

func drawSlug(t *rapid.T) string {
	return rapid.StringMatching(`[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?`).Draw(t, "slug")
}

func drawPart(t *rapid.T) wire.Part {
	count := rapid.IntRange(1, wire.PartsMax).Draw(t, "parts")
	return wire.Part{Index: rapid.IntRange(0, count-1).Draw(t, "part"), Count: count, ID: rapid.Uint64().Draw(t, "id")}
}

func drawCampaign(t *rapid.T) *campaigns.Campaign {
	text := rapid.StringN(0, 30, 120)
	c := &campaigns.Campaign{
		Slug: drawSlug(t), Name: text.Draw(t, "name"), Event: text.Draw(t, "event"), Organisation: text.Draw(t, "organisation"),
		Currency:  rapid.SampledFrom([]money.Currency{"USD", "EUR", "JPY"}).Draw(t, "currency"),
		GoalMinor: rapid.Int64Min(0).Draw(t, "goal"), MinMinor: rapid.Int64Min(0).Draw(t, "min"), MaxMinor: rapid.Int64Min(0).Draw(t, "max"),
		Rehearsal: rapid.Bool().Draw(t, "rehearsal"), Revision: rapid.Int64Min(0).Draw(t, "revision"),
	}
	if rapid.Bool().Draw(t, "has parent") {
		c.Parent = drawSlug(t)
	}
	c.LegalName, c.TaxNumber, c.Story = text.Draw(t, "legal name"), text.Draw(t, "tax number"), text.Draw(t, "story")
	if rapid.Bool().Draw(t, "has image") {
		c.Image = rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "image")
	}
	c.StartsAt, c.EndsAt = drawTime(t), drawTime(t)
	return c
}

// drawTime draws a time of people, or none.
func drawTime(t *rapid.T) time.Time {
	us := rapid.Int64Range(0, 253402300799_999999).Draw(t, "time")
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &campaigns.Frame{FrameHead: drawHead(t), Rows: rapid.SliceOfN(rapid.Custom(drawRow), 0, 10).Draw(t, "rows")}
		part, c := drawPart(t), drawCampaign(t)

		data := wire.AppendFrame(nil, f)
		whole, err := wire.DecodeFrame(data)
		clear(data)
		same(t, f, whole, err)

		data = wire.AppendFramePart(nil, f, part)
		piece, gotPart, err := wire.DecodeFramePart(data)
		clear(data)
		same(t, f, piece, err)
		same(t, part, gotPart, nil)

		s := &campaigns.Snapshot{FrameHead: f.FrameHead, Rows: f.Rows}
		data = wire.AppendSnapshotPart(nil, s, part)
		snapshot, gotPart, err := wire.DecodeSnapshotPart(data)
		clear(data)
		same(t, s, snapshot, err)
		same(t, part, gotPart, nil)

		data = wire.AppendCampaign(nil, c)
		campaign, err := wire.DecodeCampaign(data)
		clear(data)
		same(t, c, campaign, err)
	})
}

func TestCampaign_BuildsOfTwoAgesReadEachOther(t *testing.T) {
	schema := schema(t)
	rapid.Check(t, func(t *rapid.T) {
		// A build of before leaves out what it does not know: the last four fields.
		c := drawCampaign(t)
		m := dynamicpb.NewMessage(schema.ByName("Campaign"))
		setCampaign(m, c)
		for _, field := range []protoreflect.Name{"legal_name", "tax_number", "story", "image"} {
			m.Clear(m.Descriptor().Fields().ByName(field))
		}
		old, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		want := *c
		want.LegalName, want.TaxNumber, want.Story, want.Image = "", "", "", ""
		got, err := wire.DecodeCampaign(old)
		same(t, &want, got, err)
		// What a later build adds is skipped.
		later := protowire.AppendString(protowire.AppendTag(wire.AppendCampaign(nil, c), 2000, protowire.BytesType), "new")
		got, err = wire.DecodeCampaign(later)
		same(t, c, got, err)
	})
}

func same(t *rapid.T, want, got any, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("-appended +decoded:\n%s", diff)
	}
}

// TestSchema holds the hand-written codec to frames.proto: the same bytes both ways.
func TestSchema(t *testing.T) {
	schema := schema(t)
	rapid.Check(t, func(t *rapid.T) {
		f := &campaigns.Frame{FrameHead: drawHead(t), Rows: rapid.SliceOfN(rapid.Custom(drawRow), 0, 5).Draw(t, "rows")}
		part, c := drawPart(t), drawCampaign(t)
		m := dynamicpb.NewMessage(schema.ByName("Frame"))
		setPart(m, &f.FrameHead, f.Rows, part)
		equal(t, wire.AppendFramePart(nil, f, part), m)

		m = dynamicpb.NewMessage(schema.ByName("Snapshot"))
		setPart(m, &f.FrameHead, f.Rows, part)
		equal(t, wire.AppendSnapshotPart(nil, &campaigns.Snapshot{FrameHead: f.FrameHead, Rows: f.Rows}, part), m)

		m = dynamicpb.NewMessage(schema.ByName("Campaign"))
		setCampaign(m, c)
		equal(t, wire.AppendCampaign(nil, c), m)
	})
}

// schema is what frames.proto says.
func schema(t *testing.T) protoreflect.MessageDescriptors {
	t.Helper()
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{}}
	files, err := compiler.Compile(t.Context(), "frames.proto")
	if err != nil {
		t.Fatal(err)
	}
	return files[0].Messages()
}

func equal(t *rapid.T, ours []byte, theirs *dynamicpb.Message) {
	t.Helper()
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, want) {
		t.Fatalf("written differently:\n ours %x\nproto %x", ours, want)
	}
	read := dynamicpb.NewMessage(theirs.Descriptor())
	if err := proto.Unmarshal(ours, read); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(read, theirs) {
		t.Fatalf("read differently:\n got %v\nwant %v", read, theirs)
	}
}

func set(m protoreflect.Message, field protoreflect.Name, v any) {
	m.Set(m.Descriptor().Fields().ByName(field), protoreflect.ValueOf(v))
}

func setPart(m protoreflect.Message, h *campaigns.FrameHead, rows []campaigns.SlotRow, part wire.Part) {
	head := m.Mutable(m.Descriptor().Fields().ByName("head")).Message()
	set(head, "book", uint32(h.Book))
	set(head, "slot", h.Slot)
	set(head, "epoch", h.Epoch)
	set(head, "term", h.Term)
	set(head, "number", h.Number)
	if !h.CountedThrough.IsZero() {
		set(head, "counted_through_ns", h.CountedThrough.UnixNano())
	}
	set(head, "closed", h.Closed)
	set(head, "chain_n", h.Chain.N)
	if h.Chain.N != 0 {
		set(head, "chain_hash", h.Chain.Hash[:])
	}
	piece := m.Mutable(m.Descriptor().Fields().ByName("part")).Message()
	set(piece, "index", uint32(part.Index))
	set(piece, "count", uint32(part.Count))
	set(piece, "id", part.ID)
	list := m.Mutable(m.Descriptor().Fields().ByName("rows")).List()
	for i := range rows {
		row := list.NewElement().Message()
		set(row, "campaign", rows[i].Campaign)
		set(row, "currency", string(rows[i].Currency))
		set(row, "pledged_minor", rows[i].PledgedMinor)
		set(row, "raised_minor", rows[i].RaisedMinor)
		set(row, "donations", rows[i].Donations)
		set(row, "version", rows[i].Version)
		list.Append(protoreflect.ValueOfMessage(row))
	}
}

func setCampaign(m protoreflect.Message, c *campaigns.Campaign) {
	set(m, "slug", c.Slug)
	set(m, "name", c.Name)
	set(m, "event", c.Event)
	set(m, "organisation", c.Organisation)
	set(m, "parent", c.Parent)
	set(m, "currency", string(c.Currency))
	set(m, "goal_minor", c.GoalMinor)
	set(m, "min_minor", c.MinMinor)
	set(m, "max_minor", c.MaxMinor)
	if !c.StartsAt.IsZero() {
		set(m, "starts_at_us", c.StartsAt.UnixMicro())
	}
	if !c.EndsAt.IsZero() {
		set(m, "ends_at_us", c.EndsAt.UnixMicro())
	}
	set(m, "rehearsal", c.Rehearsal)
	set(m, "revision", c.Revision)
	set(m, "legal_name", c.LegalName)
	set(m, "tax_number", c.TaxNumber)
	set(m, "story", c.Story)
	set(m, "image", c.Image)
}

func TestSplitRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(drawRow), 0, 40).Draw(t, "rows")
		bytesMax := rapid.IntRange(1, 500).Draw(t, "bytes")
		empty := len(wire.AppendFramePart(nil, &campaigns.Frame{FrameHead: campaigns.FrameHead{Book: ledger.Live}}, wire.Part{Count: 1}))
		parts := wire.SplitRows(rows, bytesMax)
		if len(parts) == 0 {
			t.Fatal("no part")
		}
		var joined []campaigns.SlotRow
		for _, p := range parts {
			joined = append(joined, p...)
			f := &campaigns.Frame{FrameHead: campaigns.FrameHead{Book: ledger.Live}, Rows: p}
			if size := len(wire.AppendFrame(nil, f)) - empty; size > bytesMax && len(p) > 1 {
				t.Fatalf("%d rows of %d bytes in a part of %d", len(p), size, bytesMax)
			}
			if len(p) == 0 && len(parts) > 1 {
				t.Fatal("an empty part among others")
			}
		}
		same(t, rows, joined, nil)
	})
}

func TestDecode_Refuses(t *testing.T) {
	head := campaigns.FrameHead{Book: ledger.Live, Slot: 1, Epoch: 1, Term: 1, Number: 1}
	row := campaigns.SlotRow{Campaign: "a", Currency: "USD", Version: 1}
	frame := func(change func(*campaigns.Frame, *wire.Part)) []byte {
		f := &campaigns.Frame{FrameHead: head, Rows: []campaigns.SlotRow{row}}
		part := wire.Part{Count: 1}
		change(f, &part)
		return wire.AppendFramePart(nil, f, part)
	}
	keep := func(*campaigns.Frame, *wire.Part) {}
	if _, err := wire.DecodeFrame(frame(keep)); err != nil {
		t.Fatalf("the frame that is not changed: %v", err)
	}
	cases := map[string][]byte{
		"nothing":             nil,
		"cut":                 frame(keep)[:20],
		"two heads":           append(frame(keep), frame(keep)[:2+int(frame(keep)[1])]...),
		"no such book":        frame(func(f *campaigns.Frame, _ *wire.Part) { f.Book = 3 }),
		"no book":             frame(func(f *campaigns.Frame, _ *wire.Part) { f.Book = 0 }),
		"negative slot":       frame(func(f *campaigns.Frame, _ *wire.Part) { f.Slot = -1 }),
		"negative term":       frame(func(f *campaigns.Frame, _ *wire.Part) { f.Term = -1 }),
		"row without slug":    frame(func(f *campaigns.Frame, _ *wire.Part) { f.Rows[0].Campaign = "" }),
		"campaign is no slug": frame(func(f *campaigns.Frame, _ *wire.Part) { f.Rows[0].Campaign = "a.b" }),
		"unknown currency":    frame(func(f *campaigns.Frame, _ *wire.Part) { f.Rows[0].Currency = "XXX" }),
		"negative version":    frame(func(f *campaigns.Frame, _ *wire.Part) { f.Rows[0].Version = -1 }),
		"part beyond count":   frame(func(_ *campaigns.Frame, p *wire.Part) { p.Index, p.Count = 2, 2 }),
		"no count":            frame(func(_ *campaigns.Frame, p *wire.Part) { p.Count = 0 }),
		"too many parts":      frame(func(_ *campaigns.Frame, p *wire.Part) { p.Count = wire.PartsMax + 1 }),
		"part of several":     frame(func(_ *campaigns.Frame, p *wire.Part) { p.Count = 2 }),
		"head is a number":    protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1),
	}
	for name, data := range cases {
		t.Run(name, func(t *testing.T) {
			if f, err := wire.DecodeFrame(data); !errors.Is(err, wire.ErrMalformed) || f != nil {
				t.Errorf("%+v, %v", f, err)
			}
		})
	}
	for name, c := range map[string]campaigns.Campaign{
		"no slug":          {Currency: "USD"},
		"no currency":      {Slug: "a"},
		"not a slug":       {Slug: "A", Currency: "USD"},
		"parent no slug":   {Slug: "a", Parent: "b c", Currency: "USD"},
		"name not UTF-8":   {Slug: "a", Name: "\xff", Currency: "USD"},
		"negative goal":    {Slug: "a", Currency: "USD", GoalMinor: -1},
		"starts in -00001": {Slug: "a", Currency: "USD", StartsAt: time.UnixMicro(-1)},
	} {
		t.Run("campaign "+name, func(t *testing.T) {
			if got, err := wire.DecodeCampaign(wire.AppendCampaign(nil, &c)); !errors.Is(err, wire.ErrMalformed) || got != nil {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	head := campaigns.FrameHead{Book: ledger.Live, Slot: 1, Term: 1, Number: 1, CountedThrough: time.Unix(1, 5)}
	f.Add(wire.AppendFrame(nil, &campaigns.Frame{FrameHead: head, Rows: []campaigns.SlotRow{{Campaign: "a", Currency: "USD", PledgedMinor: -5}}}))
	f.Add(wire.AppendCampaign(nil, &campaigns.Campaign{Slug: "a", Currency: "USD", StartsAt: time.Unix(5, 0)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if frame, part, err := wire.DecodeFramePart(data); err == nil {
			again, part2, err := wire.DecodeFramePart(wire.AppendFramePart(nil, frame, part))
			if err != nil || part != part2 || !cmp.Equal(frame, again, cmpopts.EquateEmpty()) {
				t.Errorf("frame: %v\n%+v %+v\n%+v %+v", err, part, frame, part2, again)
			}
		}
		if c, err := wire.DecodeCampaign(data); err == nil {
			again, err := wire.DecodeCampaign(wire.AppendCampaign(nil, c))
			if err != nil || !cmp.Equal(c, again) {
				t.Errorf("campaign: %v\n%+v\n%+v", err, c, again)
			}
		}
	})
}

func BenchmarkFrame1000Rows(b *testing.B) {
	f := &campaigns.Frame{FrameHead: campaigns.FrameHead{Book: ledger.Live, Term: 1, Number: 1}}
	for range 1000 {
		f.Rows = append(f.Rows, campaigns.SlotRow{Campaign: "river-school", Currency: "USD", PledgedMinor: 123456, Donations: 99, Version: 99})
	}
	data := wire.AppendFrame(nil, f)
	b.SetBytes(int64(len(data)))
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			data = wire.AppendFrame(data[:0], f)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := wire.DecodeFrame(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
