"""`torch.fx.experimental`: `proxy_tensor`."""
