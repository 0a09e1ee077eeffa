package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"spillway/ledger"
)

// ErrTopology says that a stream or consumer exists with settings that are not
// safe or not ours. It is left as it is: a person decides.
var ErrTopology = errors.New("broker's streams are not as they must be")

const (
	// duplicatesWindow is how long the broker remembers envelope IDs: only a lane's
	// own retry within its ack deadline relies on it, the ledger on nothing of it.
	// Each ID costs the broker about a hundred bytes.
	duplicatesWindow = 15 * time.Second
	// framesMaxAge keeps many times what lies between two snapshots (5 s); a reader
	// that is further behind sees a gap and reads those.
	framesMaxAge = 2 * time.Minute

	// AckWait is how long a fetched message may go without a word before it is
	// delivered again.
	AckWait = 10 * time.Second
	// ackPendingMax bounds envelopes that are out with all ledger processes of a
	// shard together; each fetches a few hundred at a time.
	ackPendingMax = 8192
	// pullsWaitingMax bounds ledger processes that wait on one shard.
	pullsWaitingMax = 512
)

// Sizes of the streams: of what the broker may keep in all, live donations get
// half, rehearsals a fifth, webhooks and commands a tenth (beside their streams);
// the rest is for news, what pages show, and air. Least sizes serve where the broker
// names no limit. Walls are kept in memory and take nothing of it.
const (
	donationsShare, rehearsalsShare       = 50, 20 // per cent
	donationsBytesLeast                   = 4 << 30
	rehearsalsBytesLeast                  = 1 << 30
	framesBytesMax                  int64 = 64 << 20
	snapshotsBytesMax               int64 = 256 << 20
	campaignsBytesMax               int64 = 256 << 20
	newsShare                             = 5 // per cent at most for each of those three
	eventsBytesMax                  int64 = 8 << 20
	switchesBytesMax                int64 = 1 << 20
	decidedShare                          = 1       // per cent at most for each of those two
	mediaBytesMax                   int64 = 1 << 30 // ten thousand pictures of 100 KB
	mediaShare                            = 2       // per cent
	// wallsBytesMax is memory: ten thousand walls of 3 KiB, and as much again.
	wallsBytesMax int64 = 64 << 20
)

// EnsureTopology creates the streams and consumers that are not there and checks
// those that are. It changes nothing that exists. What only pages need is made too;
// where that fails it is logged, and money is taken all the same. Errors: ErrTopology,
// naming every stream and setting that is wrong; the broker's own.
//
// A Role that makes no streams only looks, and gets ErrUnavailable while one is missing.
func (b *Broker) EnsureTopology(ctx context.Context) error {
	if !b.cfg.Role.makesStreams() {
		if err := b.lookAtTopology(ctx); err != nil {
			return fmt.Errorf("look at the broker's streams: %w", err)
		}
		return nil
	}
	// A shard that nobody reads would be donations that nobody records.
	there, err := b.ShardsThere(ctx)
	if err != nil {
		return fmt.Errorf("ensure topology: %w", err)
	}
	if there > b.cfg.Shards {
		return fmt.Errorf("ensure topology: streams of %d shards exist and %d are configured: %w", there, b.cfg.Shards, ErrTopology)
	}
	storage, err := b.storageBytes(ctx)
	if err != nil {
		return fmt.Errorf("ensure topology: %w", err)
	}
	var errs []error
	for _, want := range b.streams(storage) {
		err := b.ensureStream(ctx, want)
		if err != nil && !errors.Is(err, ErrTopology) {
			return fmt.Errorf("ensure topology: %w", err) // with the next ones it would be no better
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("ensure topology: %w", errors.Join(errs...))
	}
	for _, book := range ledger.Books {
		for shard := range b.cfg.Shards {
			if err := b.ensureConsumer(ctx, Stream(book, shard), ledgerConsumer); err != nil {
				return fmt.Errorf("ensure topology: %w", err)
			}
		}
		if err := b.ensureConsumer(ctx, CommandsStream(book), paymentsConsumer); err != nil {
			return fmt.Errorf("ensure topology: %w", err)
		}
	}
	if err := b.ensureConsumer(ctx, WebhooksStream, paymentsConsumer); err != nil {
		return fmt.Errorf("ensure topology: %w", err)
	}
	b.ensurePages(ctx, storage)
	return nil
}

// lookAtTopology is EnsureTopology for a role that only uses what others make. A
// front-end may know fewer shards than there are: it uses those, and ledgers read all.
func (b *Broker) lookAtTopology(ctx context.Context) error {
	if b.cfg.Role != RoleFrontEnd {
		there, err := b.ShardsThere(ctx)
		if err != nil {
			return err
		}
		if there > b.cfg.Shards {
			return fmt.Errorf("streams of %d shards exist and %d are configured: %w", there, b.cfg.Shards, ErrTopology)
		}
	}
	var errs []error
	for _, want := range b.streams(0) {
		have, err := b.streamInfoWithin(ctx, want.Name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			return fmt.Errorf("%w: stream %s does not exist yet; a ledger makes it", ErrUnavailable, want.Name)
		case err != nil:
			return fmt.Errorf("stream %s: %w", want.Name, err)
		}
		errs = append(errs, checkStream(have.Config, want))
	}
	return errors.Join(errs...)
}

// streamInfoWithin is streamInfo bounded in time.
func (b *Broker) streamInfoWithin(ctx context.Context, stream string) (*jetstream.StreamInfo, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	info, err := b.streamInfo(ctx, stream)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		err = unavailable(ctx, err)
	}
	return info, err
}

// ensurePages sees to the streams that pages are made of and no donation needs.
func (b *Broker) ensurePages(ctx context.Context, storage int64) {
	var errs []error
	for _, want := range b.pageStreams(storage) {
		errs = append(errs, b.ensureStream(ctx, want))
	}
	_, err := b.EnsureWalls(ctx)
	if err := errors.Join(append(errs, err)...); err != nil {
		b.log.Error("streams of what pages show are not as they must be; pages lack some of it", "error", err)
	}
}

// pageStreams lists the streams of giving days, switches and pictures. A full one
// refuses the new: the last of one subject must never make room for another's.
func (b *Broker) pageStreams(storage int64) []jetstream.StreamConfig {
	keep := func(name, subject string, bytesMax, share int64) jetstream.StreamConfig {
		if storage > 0 {
			bytesMax = min(bytesMax, storage*share/100)
		}
		return jetstream.StreamConfig{
			Name: name, Subjects: []string{subject},
			Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
			Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1,
			Replicas: b.cfg.Replicas, MaxBytes: bytesMax, AllowDirect: true,
			Duplicates: duplicatesWindow,
		}
	}
	return []jetstream.StreamConfig{
		keep(eventsStream, eventSubject(">"), eventsBytesMax, decidedShare),
		keep(switchesStream, switchesSubject, switchesBytesMax, decidedShare),
		keep(mediaStream, mediaSubject(">"), mediaBytesMax, mediaShare),
	}
}

// storageBytes is what all streams may take on one server; 0 when nobody says.
func (b *Broker) storageBytes(ctx context.Context) (int64, error) {
	if b.cfg.StorageBytes > 0 {
		return b.cfg.StorageBytes, nil
	}
	ctx, cancel := b.within(ctx)
	defer cancel()
	info, err := b.js.AccountInfo(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask the account's limits: %w", err)
	}
	if info.Limits.MaxStore > 0 { // over all servers
		return info.Limits.MaxStore / int64(b.cfg.Replicas), nil
	}
	// The account may use what the server has. It may not tell; then the least
	// sizes are tried, and creating the streams fails when they are too large.
	name := b.nc.ConnectedServerName()
	words, err := b.askServers(ctx, []string{name})
	if err != nil {
		b.log.Debug("broker does not tell how much it may store", "reason", err)
	}
	return max(0, words[name].StorageBytes), nil
}

// streams lists every stream as it would be created.
func (b *Broker) streams(storage int64) []jetstream.StreamConfig {
	var all []jetstream.StreamConfig
	for _, book := range ledger.Books {
		for shard := range b.cfg.Shards {
			all = append(all, b.donationStream(book, shard, storage))
		}
		all = append(all, b.commandsStream(book, storage))
	}
	all = append(all, b.webhooksStream(storage))
	news := func(name, subject string, bytesMax int64) jetstream.StreamConfig {
		if storage > 0 {
			bytesMax = min(bytesMax, storage*newsShare/100)
		}
		return jetstream.StreamConfig{
			Name: name, Subjects: []string{subject},
			Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
			Replicas: b.cfg.Replicas, MaxBytes: bytesMax, AllowDirect: true,
			Duplicates: duplicatesWindow,
		}
	}
	frames := news(framesStream, "frames.v1.>", framesBytesMax)
	frames.Discard, frames.MaxAge = jetstream.DiscardOld, framesMaxAge
	// The latest of a slot or campaign must never make room for another's.
	snapshots := news(snapshotsStream, "snapshots.v1.>", snapshotsBytesMax)
	snapshots.Discard, snapshots.MaxMsgsPerSubject = jetstream.DiscardNew, 1
	campaigns := news(campaignsStream, "campaigns.v1.>", campaignsBytesMax)
	campaigns.Discard, campaigns.MaxMsgsPerSubject = jetstream.DiscardNew, 1
	return append(all, frames, snapshots, campaigns)
}

func (b *Broker) donationStream(book ledger.Book, shard int, storage int64) jetstream.StreamConfig {
	share, least := int64(donationsShare), int64(donationsBytesLeast)
	if book == ledger.Rehearsal {
		share, least = rehearsalsShare, rehearsalsBytesLeast
	}
	bytesMax := least
	if storage > 0 {
		bytesMax = storage * share / 100
	}
	return jetstream.StreamConfig{
		Name:     Stream(book, shard),
		Subjects: []string{donationSubject(book, shard)},
		Storage:  jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		Discard: jetstream.DiscardNew, DenyDelete: true,
		Replicas: b.cfg.Replicas, MaxBytes: bytesMax / int64(b.cfg.Shards),
		Duplicates: duplicatesWindow, AllowDirect: true,
	}
}

func (b *Broker) ensureStream(ctx context.Context, want jetstream.StreamConfig) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	// Looked for first: creating one that exists is refused where the store has no
	// room for a second of its size.
	have, err := b.streamInfo(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, createErr := b.js.CreateStream(ctx, want)
		if createErr == nil {
			return nil
		}
		// Another process may have been faster.
		if have, err = b.streamInfo(ctx, want.Name); err != nil {
			return fmt.Errorf("create stream %s of %d bytes: %w", want.Name, want.MaxBytes, createErr)
		}
	}
	if err != nil {
		return fmt.Errorf("stream %s: %w", want.Name, unavailable(ctx, err))
	}
	return checkStream(have.Config, want)
}

// checkStream compares an existing stream with what it must be. Sizes and the
// window of duplicates are the operator's; more replicas than asked are welcome.
// Errors: ErrTopology.
func checkStream(have, want jetstream.StreamConfig) error {
	wrong := unsafeSettings(have, want.Replicas)
	say := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, what)
		}
	}
	say(slices.Equal(have.Subjects, want.Subjects), "its subjects are "+strings.Join(have.Subjects, ", "))
	say(have.Discard == want.Discard, "discard is "+have.Discard.String()+", not "+want.Discard.String())
	say(have.MaxMsgsPerSubject == want.MaxMsgsPerSubject || max(have.MaxMsgsPerSubject, want.MaxMsgsPerSubject) <= 0,
		fmt.Sprintf("max_msgs_per_subject is %d", have.MaxMsgsPerSubject))
	if want.MaxAge == 0 {
		say(have.MaxAge == 0, "max_age is set: it removes what the ledger may not have seen")
	}
	say(!want.DenyDelete || have.DenyDelete, "deny_delete is not set")
	say(have.AllowDirect, "allow_direct is not set")
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("stream %s: %s: %w", want.Name, strings.Join(wrong, "; "), ErrTopology)
}

// unsafeSettings names what makes a stream lose what it has acknowledged.
func unsafeSettings(have jetstream.StreamConfig, replicas int) []string {
	var wrong []string
	say := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, what)
		}
	}
	say(have.Storage == jetstream.FileStorage, "storage is not file")
	say(have.PersistMode != jetstream.AsyncPersistMode, "persist_mode is async: it acknowledges before the disk")
	say(have.Retention == jetstream.LimitsPolicy, "retention is not limits")
	say(have.Replicas >= replicas, fmt.Sprintf("%d replicas, not %d", have.Replicas, replicas))
	say(have.MaxMsgs <= 0, "max_msgs is set")
	say(!have.NoAck, "no_ack is set")
	say(!have.Sealed, "it is sealed")
	say(!have.AllowMsgTTL && have.SubjectDeleteMarkerTTL == 0, "messages may expire one by one")
	say(!have.AllowRollup, "allow_rollup_hdrs is set")
	say(have.Mirror == nil && len(have.Sources) == 0, "it is fed by another stream")
	say(have.SubjectTransform == nil, "it renames subjects")
	return wrong
}

func (b *Broker) ensureConsumer(ctx context.Context, stream, consumer string) error {
	ctx, cancel := b.within(ctx)
	defer cancel()
	want := jetstream.ConsumerConfig{
		Durable: consumer, Name: consumer,
		AckPolicy: jetstream.AckExplicitPolicy, AckWait: AckWait,
		DeliverPolicy: jetstream.DeliverAllPolicy, MaxDeliver: -1,
		MaxAckPending: ackPendingMax, MaxWaiting: pullsWaitingMax,
	}
	c, err := b.js.CreateConsumer(ctx, stream, want)
	if errors.Is(err, jetstream.ErrConsumerExists) {
		c, err = b.js.Consumer(ctx, stream, consumer)
	}
	if err != nil {
		return fmt.Errorf("consumer %s of %s: %w", consumer, stream, err)
	}
	return checkConsumer(stream, consumer, c.CachedInfo().Config)
}

// checkConsumer names the settings with which deliveries would be given up or
// lost. Errors: ErrTopology.
func checkConsumer(stream, consumer string, have jetstream.ConsumerConfig) error {
	var wrong []string
	say := func(ok bool, what string) {
		if !ok {
			wrong = append(wrong, what)
		}
	}
	say(have.AckPolicy == jetstream.AckExplicitPolicy, "ack_policy is not explicit")
	say(have.MaxDeliver <= 0, "max_deliver is set: it gives deliveries up")
	say(have.DeliverPolicy == jetstream.DeliverAllPolicy, "it does not deliver all")
	say(have.FilterSubject == "" && len(have.FilterSubjects) == 0, "it filters subjects")
	say(len(have.PriorityGroups) == 0, "it has priority groups")
	say(!have.MemoryStorage, "its state is in memory")
	say(have.DeliverSubject == "", "it pushes")
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("consumer %s of %s: %s: %w", consumer, stream, strings.Join(wrong, "; "), ErrTopology)
}
