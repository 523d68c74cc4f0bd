"""Networks on labelled examples: perceptrons, LeNet, any torch module, infinite width."""
