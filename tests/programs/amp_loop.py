"""Autocast and GradScaler, as mixed-precision recipes write the loop, on the CPU in bfloat16."""

# band: 0.02, bfloat16 products are rounded to three digits

import torch
import torch.nn as nn

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
net = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.LayerNorm(64), nn.Linear(64, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.05)
scaler = torch.amp.GradScaler(device, enabled=True, init_scale=2.0**10)
data = [(torch.randn(32, 16), torch.randn(32, 1)) for _ in range(12)]
for step, (x, y) in enumerate(data):
    opt.zero_grad()
    with torch.autocast(device_type=device, dtype=torch.bfloat16, enabled=True):
        output = net(x)
        hidden = net[0](x)
        loss = nn.functional.mse_loss(output, y)
    if step == 0:
        print(hidden.dtype, output.dtype, loss.dtype, net[0].weight.dtype)
    scaler.scale(loss).backward()
    scaler.unscale_(opt)
    torch.nn.utils.clip_grad_norm_(net.parameters(), max_norm=1.0)
    scaler.step(opt)
    scaler.update()
    if step % 4 == 3:
        print(f"step {step} loss {loss.item():.3f} scale {scaler.get_scale():.1f}")
with torch.autocast("cpu", dtype=torch.bfloat16):
    a, b = torch.randn(4, 4), torch.randn(4, 4)
    print(torch.mm(a, b).dtype, (a + b).dtype, torch.softmax(a @ b, -1).dtype)
    with torch.autocast("cpu", enabled=False):
        print((a @ b).dtype)
print(torch.is_autocast_enabled("cpu"), sorted(scaler.state_dict()))
