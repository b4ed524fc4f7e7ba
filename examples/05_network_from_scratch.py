"""A neural network without `nn` and without autograd: every formula written out with matrix operations.

Three examples with four yes/no features each; the network has three hidden units and one output.

Run with: python examples/05_network_from_scratch.py
"""

import flambeau as torch

torch.manual_seed(2)

X = torch.Tensor([[1, 0, 1, 0], [1, 0, 1, 1], [0, 1, 0, 1]])  # what is known
y = torch.Tensor([[1], [1], [0]])  # what shall come out


def sigmoid(x):
    """Squeeze any number between 0 and 1."""
    return 1 / (1 + torch.exp(-x))


def slope_of_sigmoid(s):
    """The derivative of the sigmoid, from its value."""
    return s * (1 - s)


epochs = 7000
learning_rate = 0.1
inputs, hidden, outputs = X.shape[1], 3, 1

weights_hidden, bias_hidden = torch.randn(inputs, hidden), torch.randn(1, hidden)
weights_out, bias_out = torch.randn(hidden, outputs), torch.randn(1, outputs)

for epoch in range(epochs):
    # Forward: what does the network say?
    hidden_values = sigmoid(torch.mm(X, weights_hidden) + bias_hidden)
    output = sigmoid(torch.mm(hidden_values, weights_out) + bias_out)

    # Backward: how much is each part to blame? The chain rule, layer by layer from the end.
    error = y - output
    blame_out = error * slope_of_sigmoid(output)
    blame_hidden = torch.mm(blame_out, weights_out.t()) * slope_of_sigmoid(hidden_values)

    # A step in the direction that makes the error smaller.
    weights_out += torch.mm(hidden_values.t(), blame_out) * learning_rate
    bias_out += blame_out.sum() * learning_rate
    weights_hidden += torch.mm(X.t(), blame_hidden) * learning_rate
    bias_hidden += blame_hidden.sum() * learning_rate

    if epoch % 1000 == 0:
        print(f"epoch {epoch:4}  mean error {error.abs().mean().item():.4f}")

print("wanted:", y.flatten().tolist())
print("output:", output)
