"""`torch.distributed.algorithms`: `join`, for training loops of different lengths."""
