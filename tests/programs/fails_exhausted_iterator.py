"""`next` of a loader's iterator beyond its end."""

import torch
from torch.utils.data import DataLoader, TensorDataset

loader = DataLoader(TensorDataset(torch.arange(10)), batch_size=4)
iterator = iter(loader)
for _ in range(len(loader)):
    (batch,) = next(iterator)
    print(batch.tolist())
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
try:
    torch.optim.SGD(torch.nn.Module().parameters(), lr=0.1)
except ValueError as error:
    print("ValueError", str(error).splitlines()[0])
try:
    DataLoader([1, 2], batch_size=2, shuffle=True, sampler=range(2))
except ValueError as error:
    print("mutually exclusive" in str(error))
try:
    optimizer.load_state_dict(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1).state_dict())
except ValueError:
    print("another group of parameters")
next(iterator)
