package observe

import "time"

// Teller tells the progress of work that is no Beam pipeline, with rates.
type Teller struct {
	stage string
	show  func(Progress)
	meter Meter
}

// NewTeller tells the progress of a stage to show, which may be nil.
func NewTeller(stage string, show func(Progress)) *Teller {
	return &Teller{stage: stage, show: show, meter: Meter{Now: time.Now}}
}

// Tell adds the stage and the rate to what a task has done, and shows it.
func (t *Teller) Tell(p Progress) {
	if t.show != nil {
		p.Stage, p.Rate = t.stage, t.meter.Rate(p.Task, p.Done)
		t.show(p)
	}
}
