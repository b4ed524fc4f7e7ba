"""Ready-made parts: `nn` holds layers and losses, `optim` the ways to improve them. Together they fit a curve here.

Run with: python examples/04_nn_and_optim.py
"""

import flambeau as torch
from flambeau import nn, optim

torch.manual_seed(0)

# --- Layers -----------------------------------------------------------------------------------------------------------

# A layer is an object that holds its numbers (parameters) and is called like a function.
layer = nn.Linear(3, 2)
print(layer, "has", [tuple(parameter.shape) for parameter in layer.parameters()])
print("a batch of four goes in, four answers come out:", layer(torch.ones(4, 3)).shape)

# `Sequential` puts layers in a row. A class of your own can do anything between input and output.
model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))


class WithShortcut(nn.Module):
    """Adds the input to what the inner layer makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return x + torch.relu(self.inner(x))


print(WithShortcut())
print("names of its parameters:", list(WithShortcut().state_dict()))

# --- Optimizers -------------------------------------------------------------------------------------------------------

# The task: follow the curve sin(x) from noisy examples.
x = torch.linspace(-3, 3, 100).reshape(-1, 1)
y = torch.sin(x) + 0.05 * torch.randn(100, 1)

criterion = nn.MSELoss()  # mean squared distance
optimizers = {
    "SGD": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9),
    "Adam": lambda parameters: optim.Adam(parameters, lr=0.02),
    "RMSprop": lambda parameters: optim.RMSprop(parameters, lr=0.003),
}
losses = {}
start = {name: value.clone() for name, value in model.state_dict().items()}
for name, make in optimizers.items():
    model.load_state_dict(start)  # a fair race: all begin at the same place
    optimizer = make(model.parameters())
    for _ in range(300):
        optimizer.zero_grad()  # forget the last gradients
        loss = criterion(model(x), y)  # how bad are we?
        loss.backward()  # which way is better?
        optimizer.step()  # go there
    losses[name] = loss.item()
    print(f"{name:8} loss after 300 steps: {losses[name]:.4f}")
