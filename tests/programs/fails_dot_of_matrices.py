"""`torch.dot` is for vectors; a program in the habit of NumPy gives it matrices."""

import torch

a = torch.arange(6.0).reshape(2, 3)
print(torch.dot(a[0], a[1]).item())
try:
    torch.mm(a, a)
except RuntimeError as error:
    print("shapes cannot be multiplied" in str(error) and "2x3" in str(error))
for wrong in (lambda: a.view(4, 2), lambda: a + torch.ones(4), lambda: torch.cat([a, torch.ones(3, 2)])):
    try:
        wrong()
        print("no error")
    except RuntimeError:
        print("RuntimeError")
for wrong in (lambda: a[2], lambda: a[0, 3], lambda: a.sum(dim=2), lambda: a.softmax(5)):
    try:
        wrong()
        print("no error")
    except IndexError:
        print("IndexError")
torch.dot(a, a)
