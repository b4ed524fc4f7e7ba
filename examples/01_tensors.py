"""Tensors: making them, looking at them, calculating with them.

Run with: python examples/01_tensors.py
"""

import flambeau as torch

# --- Making tensors ---------------------------------------------------------------------------------------------------

# A tensor holds numbers of one type in a box with any number of dimensions. The capital-letter constructors are the
# oldest way to make one: `Tensor` and `FloatTensor` give 32-bit floats, the others what their names say.
a = torch.Tensor([2])
print("one number:", a, a.type())
print("double:", torch.DoubleTensor([1.5, 2.5]))
print("half:", torch.HalfTensor([1.5, 2.5]))
print("int:", torch.IntTensor([1, 2]))
print("long:", torch.LongTensor([1, 2]))

# `torch.tensor` looks at the values and chooses the type itself.
print("matrix:", torch.tensor([[1, 2], [3, 4]]))

# `.type(...)` and the short forms `.float()`, `.long()`, ... convert.
print("to double:", a.type(torch.DoubleTensor).dtype, "to int:", a.int().dtype)

# Tensors filled with one value.
print(torch.zeros(2, 3))
print(torch.ones(2, 3))
print(torch.full((2, 2), 7.0))

# Random numbers. A seed makes them come out the same every time - and the same as in PyTorch.
torch.manual_seed(42)
random_matrix = torch.randn(3, 3)
print("three by three normal numbers:", random_matrix)

# --- Calculating ------------------------------------------------------------------------------------------------------

x = torch.Tensor([[1, 2], [3, 4]])
y = torch.Tensor([[5, 6], [7, 8]])

print("sum:", torch.add(x, y))  # the same as x + y
print("difference:", torch.sub(y, x))  # y - x
print("product, number by number:", torch.mul(x, y))  # x * y
print("quotient:", torch.div(y, x))  # y / x
matrix_product = torch.mm(x, y)  # x @ y: rows times columns
print("matrix product:", matrix_product)

# A transposed matrix has its rows as columns. It shares its numbers with the original: nothing is copied.
print("transposed:", x.t())
print("the same by name of the dimensions:", torch.transpose(x, 0, 1))

# --- Changing the shape -----------------------------------------------------------------------------------------------

row = torch.arange(6)
print("six in a row:", row)
print("two by three:", row.reshape(2, 3))
print("-1 means 'as many as it takes':", row.reshape(3, -1).shape)

# Joining: below each other (dimension 0) or side by side (dimension 1).
joined = torch.cat((x, y), dim=1)
print("side by side:", joined)
print("below each other:", torch.cat((x, y), dim=0).shape)

# --- Looking up and changing values -----------------------------------------------------------------------------------

print("second row:", x[1])
print("last column:", x[:, -1])
print("values above 2:", x[x > 2])
x[0, 0] = 100  # the methods that end in _ change a tensor in place too, e.g. x.add_(1)
print("changed:", x)
