"""Linear regression from scratch: a loss written by hand, then the same with a module and an optimizer."""

import torch

torch.manual_seed(0)

true_w, true_b = torch.tensor([2.0, -3.4]), 4.2
features = torch.normal(0, 1, (200, 2))
labels = features @ true_w + true_b
labels += torch.normal(0, 0.01, labels.shape)


def data_iter(batch_size, features, labels):
    indices = torch.randperm(len(features))
    for i in range(0, len(features), batch_size):
        batch = indices[i : i + batch_size]
        yield features[batch], labels[batch]


def linreg(X, w, b):
    return torch.matmul(X, w) + b


def squared_loss(y_hat, y):
    return (y_hat - y.reshape(y_hat.shape)) ** 2 / 2


def sgd(params, lr, batch_size):
    with torch.no_grad():
        for param in params:
            param -= lr * param.grad / batch_size
            param.grad.zero_()


w = torch.normal(0, 0.01, size=(2, 1), requires_grad=True)
b = torch.zeros(1, requires_grad=True)
for epoch in range(3):
    for X, y in data_iter(10, features, labels):
        l = squared_loss(linreg(X, w, b), y)
        l.sum().backward()
        sgd([w, b], 0.03, 10)
    with torch.no_grad():
        train_l = squared_loss(linreg(features, w, b), labels)
        print(f"epoch {epoch + 1}, loss {float(train_l.mean()):.6f}")
print("w:", [round(v, 3) for v in w.flatten().tolist()], "b:", round(b.item(), 3))

net = torch.nn.Sequential(torch.nn.Linear(2, 1))
net[0].weight.data.normal_(0, 0.01)
net[0].bias.data.fill_(0)
loss = torch.nn.MSELoss()
trainer = torch.optim.SGD(net.parameters(), lr=0.03)
for epoch in range(3):
    for X, y in data_iter(10, features, labels):
        l = loss(net(X).squeeze(-1), y)
        trainer.zero_grad()
        l.backward()
        trainer.step()
    print(f"module, epoch {epoch + 1}, loss {loss(net(features).squeeze(-1), labels).item():.6f}")
print("w error below 0.05:", bool((true_w - net[0].weight.data).abs().max() < 0.05))
