package observe

import "time"

// Progress is where a long piece of work stands, or a line that is to be said.
type Progress struct {
	Said string // all else is empty where it is not

	Task        string // what is being done, such as "stitching"
	Done, Total int64  // Total is 0 where it is not known
	Unit        string
	Rate        float64 // units per second
	Note        string  // such as the loss

	Job     string  // name of the pipeline's job
	Stage   string  // what the pipeline does
	Metrics Metrics // of the pipeline so far
}

// Say tells whoever shows progress some lines, each once.
func Say(show func(Progress), lines ...string) {
	if show == nil {
		return
	}
	for _, line := range lines {
		show(Progress{Said: line})
	}
}

// Meter measures the rates of tasks from when they were first seen under way.
type Meter struct {
	Now   func() time.Time
	began map[string]start
}

type start struct {
	at   time.Time
	done int64
}

// Rate is that of a task, in units per second; 0 while it cannot be told.
func (m *Meter) Rate(task string, done int64) float64 {
	first, known := m.began[task]
	if !known {
		if m.began == nil {
			m.began = map[string]start{}
		}
		m.began[task] = start{m.Now(), done}
		return 0
	}
	elapsed := m.Now().Sub(first.at).Seconds()
	if elapsed <= 0 {
		return 0
	}
	return float64(done-first.done) / elapsed
}
