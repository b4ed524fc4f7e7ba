"""NumPy and Flambeau side by side: the same calculation in both, and data that both see at once.

Run with: python examples/02_numpy_twins.py
"""

import numpy as np

import flambeau as torch

# --- The same operations by (almost) the same names -------------------------------------------------------------------

array = np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32)
tensor = torch.tensor([[1.0, 2.0], [3.0, 4.0]])

twins = [
    ("sum of all", array.sum(), tensor.sum()),
    ("mean of columns", array.mean(axis=0), tensor.mean(dim=0)),
    ("matrix product", array @ array, tensor @ tensor),
    ("transposed", array.T, tensor.T),
    ("flat", array.reshape(-1), tensor.reshape(-1)),
    ("below each other", np.concatenate([array, array]), torch.cat([tensor, tensor])),
    ("exponential", np.exp(array), torch.exp(tensor)),
    ("largest in rows", array.max(axis=1), tensor.max(dim=1).values),
    ("where positive", np.where(array > 2, array, 0), torch.where(tensor > 2, tensor, 0.0)),
]
agree = True
for name, from_numpy, from_flambeau in twins:
    same = np.allclose(from_numpy, from_flambeau.numpy())
    agree = agree and same
    print(f"{name:18} numpy {from_numpy.tolist()}   flambeau {from_flambeau.tolist()}   same: {same}")

# --- From one to the other and back -----------------------------------------------------------------------------------

# `from_numpy` and `.numpy()` do not copy: array and tensor are two views of the same memory.
shared_array = np.zeros(3)
shared_tensor = torch.from_numpy(shared_array)
shared_array[0] = 1  # a change through one ...
shared_tensor[1] = 2  # ... and through the other
print("both see both changes:", shared_array, shared_tensor)

# NumPy makes 64-bit floats by default, Flambeau 32-bit ones; from_numpy keeps what it gets.
print("types:", shared_array.dtype, shared_tensor.dtype, torch.zeros(1).dtype)

# `torch.tensor` copies, so the array may change afterwards without an effect.
copied = torch.tensor(shared_array)
shared_array[2] = 3
print("the copy is as it was:", copied)
