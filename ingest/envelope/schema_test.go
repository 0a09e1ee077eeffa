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
	"spillway/ingest/trace"
)

// TestSchema holds the hand-written codec to envelope.proto: the same bytes both
// ways, for whatever a record may hold.
func TestSchema(t *testing.T) {
	compiler := protocompile.Compiler{Resolver: &protocompile.SourceResolver{}}
	files, err := compiler.Compile(t.Context(), "envelope.proto")
	if err != nil {
		t.Fatal(err)
	}
	schema := files[0].Messages()
	rapid.Check(t, func(t *rapid.T) {
		drawn := rapid.SliceOfN(rapid.Custom(drawRecord), 0, 4).Draw(t, "records")
		ours := envelope.AppendHeader(nil, header)
		for _, r := range drawn {
			ours = envelope.AppendRecord(ours, r)
		}

		theirs := dynamicpb.NewMessage(schema.ByName("Envelope"))
		set(theirs, "version", uint32(envelope.Version))
		set(theirs, "id", header.ID[:])
		set(theirs, "node", header.Node)
		records := theirs.Mutable(theirs.Descriptor().Fields().ByName("records")).List()
		for _, r := range drawn {
			record := dynamicpb.NewMessage(schema.ByName("Record"))
			kind := func(name protoreflect.Name) protoreflect.Message {
				return record.Mutable(record.Descriptor().Fields().ByName(name)).Message()
			}
			switch {
			case r.Donation != nil:
				setDonation(kind("donation"), r.Donation)
			case r.Request.Kind == envelope.Attempt:
				setRequest(kind("attempt"), r.Request)
				set(kind("attempt"), "confirmation_token", r.Request.ConfirmationToken)
				set(kind("attempt"), "token_expires_at_us", r.Request.TokenExpiresAt.UnixMicro())
			default:
				setRequest(kind("cancellation"), r.Request)
			}
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

func setRequest(m protoreflect.Message, r *envelope.Request) {
	set(m, "id", r.ID[:])
	set(m, "donation_id", r.Donation[:])
	set(m, "received_at_us", r.ReceivedAt.UnixMicro())
	set(m, "source", r.Source)
	set(m, "rehearsal", r.Rehearsal)
	setTrace(m, r.Trace)
}

func setTrace(m protoreflect.Message, c trace.Context) {
	if !c.IsZero() {
		set(m, "trace_context", c.AppendBinary(nil))
	}
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
	setTrace(m, d.Trace)
}
