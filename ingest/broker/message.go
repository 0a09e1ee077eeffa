package broker

import (
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Message is one envelope as the broker delivered it. It is held by whoever
// fetched it from the moment Fetch returns, and is delivered again, to anybody,
// unless a word about it comes within AckWait.
type Message struct {
	Data       []byte
	Sequence   uint64    // in its stream, from 1
	StoredAt   time.Time // broker's clock
	Deliveries uint64    // 1 the first time

	reply string
	nc    *nats.Conn
}

// The words about a message (JetStream's ack protocol).
var (
	ackWord      = []byte("+ACK")
	progressWord = []byte("+WPI")
)

// Ack says that the message is settled. It does not wait: an ack that is lost
// means another delivery, which the ledger knows to be a repeat.
func (m Message) Ack() error { return m.say(ackWord) }

// InProgress asks for another AckWait.
func (m Message) InProgress() error { return m.say(progressWord) }

// Nak gives the message back, to be delivered again after delay.
func (m Message) Nak(delay time.Duration) error {
	word := append([]byte(`-NAK {"delay":`), strconv.FormatInt(int64(max(0, delay)), 10)...)
	return m.say(append(word, '}'))
}

func (m Message) say(word []byte) error {
	if err := m.nc.Publish(m.reply, word); err != nil {
		return fmt.Errorf("message %d: %w", m.Sequence, err)
	}
	return nil
}

// newMessage reads a delivery; an error says that it is none.
func newMessage(nc *nats.Conn, m *nats.Msg) (Message, error) {
	meta, err := m.Metadata()
	if err != nil {
		return Message{}, err
	}
	return Message{
		Data: m.Data, Sequence: meta.Sequence.Stream, StoredAt: meta.Timestamp,
		Deliveries: meta.NumDelivered, reply: m.Reply, nc: nc,
	}, nil
}
