package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"spillway/campaigns"
)

// contentTypeHeader says of what type a picture's bytes are.
const contentTypeHeader = "Content-Type"

// PublishMedia returns once the broker has the picture. One that it has already is
// not stored again: its key names its bytes. Errors: campaigns.ErrInvalid; ErrUnavailable,
// also when the stream is full; ctx's.
func (b *Broker) PublishMedia(ctx context.Context, key, contentType string, data []byte) error {
	picture := campaigns.Media{Key: key, ContentType: contentType, Data: data}
	if err := picture.Validate(); err != nil {
		return fmt.Errorf("publish picture: %w", err)
	}
	ctx, cancel := b.within(ctx)
	defer cancel()
	_, err := b.js.PublishMsg(ctx, &nats.Msg{
		Subject: mediaSubject(key), Data: data, Header: nats.Header{contentTypeHeader: {contentType}},
	}, jetstream.WithExpectStream(mediaStream), jetstream.WithExpectLastSequencePerSubject(0))
	if err != nil && !overtaken(err) {
		return fmt.Errorf("publish picture %s: %w", key, unavailable(ctx, err))
	}
	return nil
}

// Media returns a picture. The bytes are the caller's. Errors: campaigns.ErrUnknown;
// ErrUnavailable, ctx's.
func (b *Broker) Media(ctx context.Context, key string) (contentType string, data []byte, err error) {
	if !campaigns.ValidMediaKey(key) { // it goes into a subject
		return "", nil, campaigns.ErrUnknown
	}
	m, err := b.lastMessageOf(ctx, mediaStream, mediaSubject(key))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return "", nil, campaigns.ErrUnknown
	}
	if err != nil {
		return "", nil, fmt.Errorf("picture %s: %w", key, err)
	}
	picture := campaigns.Media{Key: key, ContentType: m.Header.Get(contentTypeHeader), Data: m.Data}
	if err := picture.Validate(); err != nil { // whoever put it there: it is served from our origin
		b.log.Error("picture is not what it must be and is not shown", "key", key, "error", err)
		return "", nil, campaigns.ErrUnknown
	}
	return picture.ContentType, picture.Data, nil
}

// RemoveMedia removes a picture; one that is not there is removed already. Errors:
// campaigns.ErrInvalid; ErrUnavailable, ctx's.
func (b *Broker) RemoveMedia(ctx context.Context, key string) error {
	if !campaigns.ValidMediaKey(key) { // it goes into a subject
		return fmt.Errorf("remove picture: %w: %q is not a key", campaigns.ErrInvalid, key)
	}
	ctx, cancel := b.within(ctx)
	defer cancel()
	stream, err := b.js.Stream(ctx, mediaStream)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(mediaSubject(key)))
	}
	if err != nil {
		return fmt.Errorf("remove picture %s: %w", key, unavailable(ctx, err))
	}
	return nil
}

// MediaKeys names every picture that the broker holds. Errors: ErrUnavailable, ctx's.
func (b *Broker) MediaKeys(ctx context.Context) (map[string]bool, error) {
	subjects, err := b.subjects(ctx, mediaStream, mediaSubject(">"))
	if err != nil {
		return nil, fmt.Errorf("list pictures: %w", err)
	}
	keys := make(map[string]bool, len(subjects))
	for subject := range subjects {
		keys[strings.TrimPrefix(subject, mediaSubject(""))] = true
	}
	return keys, nil
}
