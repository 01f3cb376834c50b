package pipelines

import "time"

// PollEvery has progress told at another interval, until restore is called.
func PollEvery(interval time.Duration) (restore func()) {
	usual := pollEvery
	pollEvery = interval
	return func() { pollEvery = usual }
}

// AddLearning is addLearning.
var AddLearning = addLearning
