"""Autograd: Flambeau remembers how a value was calculated and can therefore say how it reacts to its ingredients.

Run with: python examples/03_autograd.py
"""

import flambeau as torch

# --- A gradient -------------------------------------------------------------------------------------------------------

# `requires_grad=True` means: I will want to know how the result depends on this.
a = torch.ones((2, 2), requires_grad=True)
print(a)
b = a + 5  # four times 6; b remembers that it is a sum
print(b)
c = b.mean()  # a single number: (b11 + b12 + b21 + b22) / 4
print(c)

# `backward` walks the calculation backwards. Each number of `a` has a quarter of a say in the mean: dc/da = 0.25.
c.backward()
print("gradient of a:", a.grad)

# --- Gradients add up -------------------------------------------------------------------------------------------------

# A second walk adds to the first one's result. That is why training loops set gradients back to nothing.
(a * 2).mean().backward()
print("0.25 + 0.5:", a.grad)
a.grad = None

# --- The graph is made while the program runs -------------------------------------------------------------------------

# Loops and ifs are plain Python. Here x is squared until it is large; the derivative of x**8 at 2 is 8 * 2**7 = 1024.
x = torch.tensor(2.0, requires_grad=True)
y = x
while y < 200:
    y = y * y
y.backward()
print("y:", y.item(), "dy/dx:", x.grad.item())

# --- When nothing has to be remembered --------------------------------------------------------------------------------

with torch.no_grad():
    print("remembers nothing:", (a + 5).requires_grad)

# --- The slope of the slope -------------------------------------------------------------------------------------------

# With create_graph the gradient itself can be differentiated: x**3 has the slope 3x**2 and that the slope 6x.
x = torch.tensor(2.0, requires_grad=True)
(slope,) = torch.autograd.grad(x**3, x, create_graph=True)
(curvature,) = torch.autograd.grad(slope, x)
print("slope:", slope.item(), "curvature:", curvature.item())
