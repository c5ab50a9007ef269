"""The two worked examples of the old documentation of `bilinear`, with the right numbers.

Run it:

    python examples/worked_examples.py
"""

import lucid
import lucid.nn.functional as F  # noqa: N812 (as everybody calls it)

print("Example 1")
input_1 = lucid.Tensor([[1.0, 2.0]], requires_grad=True)
input_2 = lucid.Tensor([[3.0, 4.0]], requires_grad=True)
weight = lucid.Tensor([[[5.0, 6.0], [7.0, 8.0]]], requires_grad=True)

out = F.bilinear(input_1, input_2, weight)
print("  out          ", out)
out.backward()
print("  input_1.grad ", input_1.grad)
print("  input_2.grad ", input_2.grad)
print("  weight.grad  ", weight.grad)

print("Example 2")
input_1 = lucid.Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
input_2 = lucid.Tensor([[5.0, 6.0], [7.0, 8.0]], requires_grad=True)
weight = lucid.Tensor([[[9.0, 10.0], [11.0, 12.0]]], requires_grad=True)
bias = lucid.Tensor([[13.0]], requires_grad=True)

out = F.bilinear(input_1, input_2, weight, bias)
print("  out          ", out)
out.backward()
print("  input_1.grad ", input_1.grad)
print("  input_2.grad ", input_2.grad)
print("  weight.grad  ", weight.grad)
print("  bias.grad    ", bias.grad)
