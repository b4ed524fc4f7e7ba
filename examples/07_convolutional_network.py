"""The sequel of the case study, written out: a small convolutional network and a plain training loop.

The recipe is the guide's: two convolutions with four channels, Adam with a learning rate of 0.07, all training pictures
in one step, 25 epochs. That is a lot of memory and time for all 60,000 pictures, so 6,000 are used unless you ask.

Run with: python examples/07_convolutional_network.py
The full recipe: python examples/07_convolutional_network.py --limit 60000
"""

import argparse

import flambeau as torch
from flambeau import nn, optim
from flambeau.apparel.sources import find_pictures


class Net(nn.Module):
    """Each of the two blocks finds patterns (convolution), steadies them, drops the negative ones, halves the size."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn_layers = nn.Sequential(
            nn.Conv2d(1, 4, kernel_size=3, stride=1, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2, stride=2),
            nn.Conv2d(4, 4, kernel_size=3, stride=1, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=2, stride=2),
        )
        self.linear_layers = nn.Sequential(nn.Linear(4 * 7 * 7, 10))

    def forward(self, x):
        x = self.cnn_layers(x)  # (N, 1, 28, 28) -> (N, 4, 7, 7)
        x = x.view(x.size(0), -1)  # -> (N, 196)
        return self.linear_layers(x)  # -> (N, 10): a score for each kind of garment


def as_tensors(images, labels):
    """Bytes to floats between 0 and 1, with a dimension for the (single) colour channel."""
    pictures = torch.tensor(images).float().unsqueeze(1) / 255
    return pictures, torch.tensor(labels).long()


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description="Train the guide's convolutional network.")
    parser.add_argument("--limit", type=int, default=6000, help="training pictures; 60000 are all")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--source", default=None, help="folder with the IDX files of Fashion-MNIST")
    chosen = parser.parse_args(arguments)

    torch.manual_seed(0)
    found = find_pictures(chosen.source, "data/fashion-mnist", limit=chosen.limit)
    print("pictures:", found.origin)
    pictures, labels = as_tensors(found.train_images, found.train_labels)
    held_out = len(labels) // 10  # every tenth picture is for checking
    train_x, train_y = pictures[held_out:], labels[held_out:]
    val_x, val_y = pictures[:held_out], labels[:held_out]
    test_x, test_y = as_tensors(found.test_images, found.test_labels)

    model = Net()
    print(model)
    optimizer = optim.Adam(model.parameters(), lr=0.07)
    criterion = nn.CrossEntropyLoss()

    # Like the guide we never call model.eval(): BatchNorm2d then goes by the mean and spread of the pictures at hand.
    # With eval() it would go by running averages of them, which lag far behind after only 25 steps this large.
    for epoch in range(chosen.epochs):
        optimizer.zero_grad()
        loss = criterion(model(train_x), train_y)
        loss.backward()
        optimizer.step()
        if epoch % 2 == 0:
            with torch.no_grad():
                val_loss = criterion(model(val_x), val_y)
            print(f"Epoch: {epoch + 1}\tloss: {loss.item():.4f}\tvalidation loss: {val_loss.item():.4f}")

    def accuracy(x, y) -> float:
        with torch.no_grad():
            return (model(x).argmax(dim=1) == y).float().mean().item()

    results = {"validation": accuracy(val_x, val_y), "test": accuracy(test_x, test_y), "loss": loss.item()}
    print(f"right on held-out pictures: {results['validation']:.1%}, on test pictures: {results['test']:.1%}")
    return results


if __name__ == "__main__":
    main()
