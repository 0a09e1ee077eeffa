package charge

// Point is a moment in the life of a charge at which a process may die. Points names
// them all; between any two of them the outcome of a death is the same.
type Point string

// The points, in the order in which a charge passes them.
const (
	// ParametersStored: claimed, and the call's exact parameters are committed; the
	// processor knows nothing. The claim lapses, and the same call is made.
	ParametersStored Point = "parameters stored"
	// CallSent: the request is on its way, its answer is not read. The claim lapses,
	// and the same call under the same key brings the same answer.
	CallSent Point = "call sent"
	// AnswerReceived: the outcome is known to this process alone. As CallSent.
	AnswerReceived Point = "answer received"
	// ResultCommitted: payment, journal and totals hold it; donors and front-ends may
	// not have heard. Adoption of the slot publishes the totals, and a page that
	// waits asks again.
	ResultCommitted Point = "result committed"
)

// Points lists every point in order.
var Points = []Point{ParametersStored, CallSent, AnswerReceived, ResultCommitted}
