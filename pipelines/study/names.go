package study

// Names of methods and learners for readers.
var (
	methodNames  = map[string]string{Original: "original data", SynthER: "SynthER", TATU: "TATU", DiffStitch: "DiffStitch"}
	learnerNames = map[string]string{IQL: "IQL", TD3BC: "TD3+BC", DT: "DT"}
)
