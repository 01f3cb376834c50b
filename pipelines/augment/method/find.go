package method

import "diffstitch/modelops/training"

// methods by their names.
var methods = map[training.Method]Method{
	training.MethodDiffStitch: stitching{},
	training.MethodSynthER:    synthesizing{},
	training.MethodTATU:       rolling{},
}

// Find gives the method of a name.
func Find(name training.Method) (Method, error) {
	if err := name.Validate(); err != nil {
		return nil, err
	}
	return methods[name], nil
}
