package consumer

// TopUpLast is how long ago a batch must have been filled to be filled once more.
const TopUpLast = topUpLast
