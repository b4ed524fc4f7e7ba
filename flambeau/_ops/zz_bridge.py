"""TEMPORARY bridge until the pointwise files are complete."""
from flambeau._ops.registry import OPS, pointwise, composite
from flambeau._ops.pointwise import conj

if 'abs' not in OPS:
    @pointwise(inplace=True, aliases=("absolute",), result="real", gradient={"input": lambda g, input: g * input.sgn()})
    def abs(k, input):
        return k.abs(input)

if 'exp' not in OPS:
    @pointwise(inplace=True, result="float", gradient={"input": lambda g, out: g * conj(out)})
    def exp(k, input):
        return k.exp(input)

if 'log' not in OPS:
    @pointwise(inplace=True, result="float", gradient={"input": lambda g, input: g / conj(input)})
    def log(k, input):
        return k.log(input)

if 'relu' not in OPS:
    @pointwise(inplace=True, refuses=("complex",), gradient={"input": lambda g, out: g * (out > 0)})
    def relu(k, input):
        return k.maximum(input, 0)

if 'nn.functional.relu' not in OPS:
    @composite(method=False, namespace="nn.functional", name="relu")
    def frelu(input, inplace=False):
        return input.relu_() if inplace else input.relu()

if 'eq' not in OPS:
    @pointwise(inplace=True, result="bool")
    def eq(k, input, other):
        return input == other

if 'ne' not in OPS:
    @pointwise(inplace=True, result="bool")
    def ne(k, input, other):
        return input != other

if 'lt' not in OPS:
    @pointwise(inplace=True, result="bool")
    def lt(k, input, other):
        return input < other

if 'le' not in OPS:
    @pointwise(inplace=True, result="bool")
    def le(k, input, other):
        return input <= other

if 'gt' not in OPS:
    @pointwise(inplace=True, result="bool")
    def gt(k, input, other):
        return input > other

if 'ge' not in OPS:
    @pointwise(inplace=True, result="bool")
    def ge(k, input, other):
        return input >= other

if 'bitwise_and' not in OPS:
    @pointwise(inplace=True, refuses=("float", "complex"))
    def bitwise_and(k, input, other):
        return input & other

if 'bitwise_or' not in OPS:
    @pointwise(inplace=True, refuses=("float", "complex"))
    def bitwise_or(k, input, other):
        return input | other

if 'bitwise_xor' not in OPS:
    @pointwise(inplace=True, refuses=("float", "complex"))
    def bitwise_xor(k, input, other):
        return input ^ other

if 'bitwise_left_shift' not in OPS:
    @pointwise(inplace=True, refuses=("float", "complex"))
    def bitwise_left_shift(k, input, other):
        return input << other

if 'bitwise_right_shift' not in OPS:
    @pointwise(inplace=True, refuses=("float", "complex"))
    def bitwise_right_shift(k, input, other):
        return input >> other

if 'bitwise_not' not in OPS:
    @pointwise(inplace=True, refuses=("float", "complex"))
    def bitwise_not(k, input):
        return k.invert(input)
