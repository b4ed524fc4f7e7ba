"""A checkpoint that would run code when it is read: refused, and nothing has run."""

import os
import pickle
import tempfile

import torch

folder = tempfile.mkdtemp()
touched = os.path.join(folder, "touched")


class Evil:
    def __reduce__(self):
        return os.mkdir, (touched,)


path = os.path.join(folder, "model.pt")
torch.save({"weight": torch.ones(2), "surprise": Evil()}, path)
try:
    torch.load(path)
except pickle.UnpicklingError as error:
    print("refused:", "Weights only load failed" in str(error), "nothing ran:", not os.path.exists(touched))
torch.save({"weight": torch.ones(2)}, path)
print(torch.load(path))
with open(path, "r+b") as file:
    file.truncate(200)
try:
    torch.load(path)
except RuntimeError:
    print("damaged")
torch.save({"surprise": Evil()}, path)
torch.load(path, weights_only=True)
