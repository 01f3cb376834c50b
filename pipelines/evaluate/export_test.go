package evaluate

// Add is add.
var Add = add
