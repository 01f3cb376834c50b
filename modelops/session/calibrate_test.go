package session

import (
	"testing"

	"diffstitch/modelops/backend/backendtest"
)

func TestCalibrate(t *testing.T) {
	dir := walkModels(t)
	backendtest.ForEachName(t, func(t *testing.T, name string) {
		c, err := Calibrate(refining(dir, name), 2, 3)
		if err != nil || c.Batch <= 0 || c.Stitches != refining(dir, name).Batch {
			t.Errorf("%+v, error %v", c, err)
		}
	})
}
