package layout

// NextObservations is nextObservations.
var NextObservations = nextObservations
