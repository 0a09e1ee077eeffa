package stripesim

// apiVersion is the version that events and answers have: that of stripe-go v76.
const apiVersion = "2023-10-16"

// renderEvent appends an event as it was when it happened. The record of its
// change must be in the file.
func (s *Server) renderEvent(r *renderer, n uint32, e event) error {
	c, err := s.log.read(e.offset, e.record)
	if err != nil {
		return err
	}
	then := renderer{ids: r.ids, in: c, now: c.at / 1000, b: r.b}
	then.first("id")
	then.idValue(eventKind, n)
	then.raw("object", `"event"`)
	then.raw("api_version", `"`+apiVersion+`"`)
	then.int("created", e.created)
	then.put(`,"data":{"object":`)
	if !then.object(eventWords[e.kind].about, e.about) {
		return errBadRecord
	}
	then.put("}")
	then.raw("livemode", "false")
	pending := int64(1)
	if e.sent || !s.subscribed(e.kind) {
		pending = 0
	}
	then.int("pending_webhooks", pending)
	then.name("request")
	if c.answer != nil && c.answer.key != "" {
		then.first("id")
		then.idValue(requestKind, n)
		then.text("idempotency_key", c.answer.key)
		then.put("}")
	} else {
		then.put(`{"id":null,"idempotency_key":null}`)
	}
	then.text("type", eventWords[e.kind].word)
	then.put("}")
	r.b = then.b
	return nil
}
