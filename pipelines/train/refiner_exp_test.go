package train

import ("context"; "fmt"; "os"; "strconv"; "strings"; "testing"; "time"; "diffstitch/modelops/training"; "diffstitch/pipelines/input")

func TestExp(t *testing.T) {
	if os.Getenv("EXPD") == "" { t.Skip() }
	d, err := input.Data{Path: os.Getenv("EXPD"), MaxRejectShare: .01}.Open()
	if err != nil { t.Fatal(err) }
	data, err := load(context.Background(), d)
	if err != nil { t.Fatal(err) }
	cfg, _ := training.Preset(os.Getenv("EXPP"))
	for _, ks := range strings.Split(os.Getenv("EXPK"), ",") {
		k, n, _ := strings.Cut(ks, ":"); steps, _ := strconv.Atoi(n)
		start := time.Now()
		r, err := training.Train(context.Background(), training.Kind(k), cfg, data, os.Getenv("EXPM"), training.Options{Backend: "xla", Seed: 1, Steps: steps})
		if err != nil { t.Fatal(err) }
		fmt.Println(k, steps, time.Since(start), r.Details.HeldOutLoss)
	}
}
