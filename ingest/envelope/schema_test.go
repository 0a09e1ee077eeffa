package envelope_test

import (
	"bytes"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"spillway/ingest/envelope"
)

// TestSchema holds the hand-written codec to envelope.proto: the same bytes both
// ways, for whatever a donation may hold.
func TestSchema(t *testing.T) {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{}}
	files, err := compiler.Compile(t.Context(), "envelope.proto")
	if err != nil {
		t.Fatal(err)
	}
	schema := files[0].Messages()
	rapid.Check(t, func(t *rapid.T) {
		donations := rapid.SliceOfN(rapid.Custom(drawDonation), 0, 4).Draw(t, "donations")
		ours := envelope.AppendHeader(nil, header)
		for _, d := range donations {
			ours = envelope.AppendDonation(ours, d)
		}

		theirs := dynamicpb.NewMessage(schema.ByName("Envelope"))
		set(theirs, "version", uint32(envelope.Version))
		set(theirs, "id", header.ID[:])
		set(theirs, "node", header.Node)
		records := theirs.Mutable(theirs.Descriptor().Fields().ByName("records")).List()
		for _, d := range donations {
			record := dynamicpb.NewMessage(schema.ByName("Record"))
			setDonation(record.Mutable(record.Descriptor().Fields().ByName("donation")).Message(), d)
			records.Append(protoreflect.ValueOfMessage(record))
		}
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(theirs)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, want) {
			t.Fatalf("written differently:\n ours %x\nproto %x", ours, want)
		}

		read := dynamicpb.NewMessage(schema.ByName("Envelope"))
		if err := proto.Unmarshal(ours, read); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(read, theirs) {
			t.Fatalf("read differently:\n got %v\nwant %v", read, theirs)
		}
		if len(read.GetUnknown()) > 0 {
			t.Fatalf("fields that envelope.proto does not have: %x", read.GetUnknown())
		}
	})
}

func set(m protoreflect.Message, field protoreflect.Name, v any) {
	m.Set(m.Descriptor().Fields().ByName(field), protoreflect.ValueOf(v))
}

func setDonation(m protoreflect.Message, d *envelope.Donation) {
	set(m, "id", d.ID[:])
	set(m, "fingerprint", d.Fingerprint[:])
	set(m, "received_at_us", d.ReceivedAt.UnixMicro())
	set(m, "source", d.Source)
	set(m, "rehearsal", d.Rehearsal)
	set(m, "currency", string(d.Currency))
	set(m, "amount_minor", d.AmountMinor)
	set(m, "fee_cover_minor", d.FeeCoverMinor)
	lines := m.Mutable(m.Descriptor().Fields().ByName("lines")).List()
	for _, l := range d.Lines {
		line := lines.NewElement().Message()
		set(line, "campaign", l.Campaign)
		set(line, "amount_minor", l.AmountMinor)
		lines.Append(protoreflect.ValueOfMessage(line))
	}
	set(m, "anonymous", d.Anonymous)
	set(m, "hide_amount", d.HideAmount)
	set(m, "confirmation_token", d.ConfirmationToken)
	set(m, "token_expires_at_us", d.TokenExpiresAt.UnixMicro())
	set(m, "sealed", d.Sealed)
	set(m, "seal_key", d.SealKey)
}
