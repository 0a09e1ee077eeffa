package wire

import "google.golang.org/protobuf/encoding/protowire"

// Field numbers of frames.proto.
const (
	// Frame and Snapshot
	partHead protowire.Number = 1
	partPart protowire.Number = 2
	partRows protowire.Number = 3

	headBook           protowire.Number = 1
	headSlot           protowire.Number = 2
	headEpoch          protowire.Number = 3
	headTerm           protowire.Number = 4
	headNumber         protowire.Number = 5
	headCountedThrough protowire.Number = 6
	headClosed         protowire.Number = 7
	headChainN         protowire.Number = 8
	headChainHash      protowire.Number = 9

	pieceIndex protowire.Number = 1
	pieceCount protowire.Number = 2
	pieceID    protowire.Number = 3

	rowCampaign  protowire.Number = 1
	rowCurrency  protowire.Number = 2
	rowPledged   protowire.Number = 3
	rowRaised    protowire.Number = 4
	rowDonations protowire.Number = 5
	rowVersion   protowire.Number = 6

	campaignSlug         protowire.Number = 1
	campaignName         protowire.Number = 2
	campaignEvent        protowire.Number = 3
	campaignOrganisation protowire.Number = 4
	campaignParent       protowire.Number = 5
	campaignCurrency     protowire.Number = 6
	campaignGoal         protowire.Number = 7
	campaignMin          protowire.Number = 8
	campaignMax          protowire.Number = 9
	campaignStartsAt     protowire.Number = 10
	campaignEndsAt       protowire.Number = 11
	campaignRehearsal    protowire.Number = 12
	campaignRevision     protowire.Number = 13
	campaignLegalName    protowire.Number = 14
	campaignTaxNumber    protowire.Number = 15
	campaignStory        protowire.Number = 16
	campaignImage        protowire.Number = 17

	eventSlug     protowire.Number = 1
	eventName     protowire.Number = 2
	eventTimeZone protowire.Number = 3
	eventStartsAt protowire.Number = 4
	eventEndsAt   protowire.Number = 5
	eventBanner   protowire.Number = 6
	eventRevision protowire.Number = 7

	switchesLeaderboardsOff protowire.Number = 1
	switchesFeedOff         protowire.Number = 2
	switchesLiveOff         protowire.Number = 3
	switchesExportsOff      protowire.Number = 4
	switchesRevision        protowire.Number = 5
	switchesChangedAt       protowire.Number = 6
	switchesChangedBy       protowire.Number = 7

	wallCampaign protowire.Number = 1
	wallDonors   protowire.Number = 2
	wallAsOf     protowire.Number = 3
	wallVersion  protowire.Number = 4
	wallGifts    protowire.Number = 5

	giftRef        protowire.Number = 1
	giftCampaign   protowire.Number = 2
	giftName       protowire.Number = 3
	giftAmount     protowire.Number = 4
	giftCurrency   protowire.Number = 5
	giftMessage    protowire.Number = 6
	giftDedication protowire.Number = 7
	giftAt         protowire.Number = 8
)

// tagBytes is the encoded length of every tag of a message within a message: numbers
// up to 15 take one byte.
const tagBytes = 1
