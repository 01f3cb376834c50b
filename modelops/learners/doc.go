// Package learners trains policies from data alone, by the three learners of the
// paper's evaluation (section 4): IQL (Kostrikov et al. 2022), TD3+BC (Fujimoto and
// Gu 2021) and the Decision Transformer (Chen et al. 2021), with the architectures
// and defaults of CORL (Tarasov et al. 2023).
//
// Several seeds train at once, their weights side by side in one array, each on its
// own batches. The data lies on the device, and a call of the graph makes hundreds of
// updates, each of which draws its batch there. What an update draws depends on the
// seed and the update's number alone, so a training that was interrupted and resumed
// ends with the weights of one that was not.
package learners
