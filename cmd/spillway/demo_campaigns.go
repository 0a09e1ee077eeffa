package main

// demoCampaigns are what donors see on the first start: a spread of causes and of
// goals, in US dollars (goals in cents).
var demoCampaigns = []struct {
	slug, name, organisation string
	goalMinor                int64
}{
	{demoCampaign, "A roof for River School", "River Valley Schools Trust", 25_000_00},
	{"night-shelter", "Warm beds this winter", "Harbour Street Shelter", 60_000_00},
	{"food-bank", "A month of full shelves", "Northside Food Bank", 40_000_00},
	{"lifeboat", "A new engine for the lifeboat", "Saltmarsh Lifeboat Crew", 120_000_00},
	{"animal-rescue", "Vet bills for forty dogs", "Second Chance Animal Rescue", 18_000_00},
	{"community-garden", "Tools and seeds for the garden", "Elm Row Community Garden", 4_500_00},
	{"youth-orchestra", "Instruments on loan", "City Youth Orchestra", 32_000_00},
	{"mountain-rescue", "Radios for every rescuer", "High Peaks Mountain Rescue", 27_500_00},
	{"library-van", "Keep the library van rolling", "Friends of the County Library", 15_000_00},
	{"hospice-nurses", "Nights at home with a nurse", "St Clare's Hospice", 90_000_00},
	{"clean-rivers", "Ten miles of clean river", "Rivers Alive", 50_000_00},
	{"refugee-welcome", "First weeks in a new town", "Open Door Welcome", 22_000_00},
	{"school-breakfasts", "Breakfast before the bell", "River Valley Schools Trust", 12_000_00},
	{"repair-workshop", "A workshop that mends things", "Harbour Makers", 9_000_00},
	{"lighthouse", "Light the old lighthouse again", "Friends of Gull Point Light", 75_000_00},
	{"girls-football", "A pitch of their own", "Eastside Athletic Girls", 20_000_00},
	{"seed-library", "A seed for every windowsill", "Elm Row Community Garden", 2_000_00},
	{"memory-cafe", "Afternoons at the memory café", "St Clare's Hospice", 6_500_00},
}

// demoOrganisations are who receives, as receipts name them. The tax numbers begin
// with 00, which no real one does.
var demoOrganisations = map[string]struct{ legalName, taxNumber string }{
	"River Valley Schools Trust":    {"River Valley Schools Trust, Inc.", "00-1000011"},
	"Harbour Street Shelter":        {"Harbour Street Shelter, Inc.", "00-1000022"},
	"Northside Food Bank":           {"Northside Community Food Bank, Inc.", "00-1000033"},
	"Saltmarsh Lifeboat Crew":       {"Saltmarsh Volunteer Lifeboat Association", "00-1000044"},
	"Second Chance Animal Rescue":   {"Second Chance Animal Rescue, Inc.", "00-1000055"},
	"Elm Row Community Garden":      {"Elm Row Community Garden Association", "00-1000066"},
	"City Youth Orchestra":          {"The City Youth Orchestra Foundation", "00-1000077"},
	"High Peaks Mountain Rescue":    {"High Peaks Mountain Rescue, Inc.", "00-1000088"},
	"Friends of the County Library": {"Friends of the Harbour County Library", "00-1000099"},
	"St Clare's Hospice":            {"St Clare's Hospice, Inc.", "00-1000110"},
	"Rivers Alive":                  {"Rivers Alive Conservancy", "00-1000121"},
	"Open Door Welcome":             {"Open Door Welcome Network, Inc.", "00-1000132"},
	"Harbour Makers":                {"Harbour Makers Cooperative Foundation", "00-1000143"},
	"Friends of Gull Point Light":   {"Friends of the Gull Point Lighthouse, Inc.", "00-1000154"},
	"Eastside Athletic Girls":       {"Eastside Athletic Club Youth Foundation", "00-1000165"},
}

// demoStories are what some of the campaigns say, by slug.
var demoStories = map[string]string{
	demoCampaign: `When it rains, the fourth grade moves its desks to the other side of the room. The roof of River School was laid in 1961 and has been patched eleven times since; this spring the patches began to leak as well.

A new roof costs $85,000. The district pays $60,000 of it, once the rest is there. What you give today closes that gap, and the roofers start in the first week of the summer holidays.

$25 buys a square yard. $250 covers a window bay. Whatever comes in beyond the goal goes into insulation, so that the rooms are warm too.`,
	"night-shelter": `On the coldest nights of last winter forty-one people slept at Harbour Street, and nine were turned away because there was no bed.

$60 is one warm bed for one night: the bed, supper, breakfast, and somebody who is awake. A thousand nights get twelve more people through from December to March.`,
	"food-bank": `Three hundred and twenty families come to Northside every week. In November the shelves empty faster than they fill.

We buy from wholesalers, so a dollar here is three in the supermarket. $40 fills the boxes of one family for a month.`,
	"lifeboat": `The Saltmarsh crew went out fifty-four times last year, all of them volunteers. The starboard engine is twenty-two years old and has failed twice with people aboard.

The maker gives us the new pair at cost. We need $120,000 before the yard closes its books in spring.`,
	"animal-rescue": `Forty dogs came to us from one house in September. All of them are alive; most of them need a vet more than once.

$45 is a round of vaccinations, $180 an operation, and nothing at all is how much they ask for.`,
	"youth-orchestra": `A cello costs as much as a used car, and so the seats at the back of the orchestra stay empty. We lend instruments to whoever wants to play, for as long as they do.

Your gift buys strings, bows, and this year two cellos and a bassoon.`,
	"hospice-nurses": `Most people want to be at home at the end. Our nurses sit with them through the night, so that those who love them can sleep.

One night costs $300. Last year we said yes to three families out of four. We would like to say yes to all of them.`,
	"clean-rivers": `From the mill to the harbour there are ten miles of river, and two hundred volunteers with waders. We take out what does not belong there, plant willows where the banks have gone, and count the fish.

$50 plants five willows. $500 adopts a stretch for a year.`,
	"lighthouse": `Gull Point has been dark since 1994. The lens is whole; the stairs are not.

With your help the light turns again on the first night of summer, and the stairs are open to everybody who wants to see it from inside.`,
	"school-breakfasts": `Every morning a hundred and ten children come to school without having eaten. Breakfast is a roll, fruit and milk at a long table, and it costs $1.60.

$32 is a month of mornings for one child.`,
}
