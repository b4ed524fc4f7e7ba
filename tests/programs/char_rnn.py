"""A character-level RNN that generates names, with a category as input; the loop runs a character a step."""

import string

import torch
import torch.nn as nn

torch.manual_seed(5)
all_letters = string.ascii_lowercase + " "
n_letters = len(all_letters) + 1  # the end of the name
names = {"sea": ["marina", "nerida", "morgan", "dylan"], "land": ["george", "demeter", "gaia", "adam"]}
categories = list(names)
n_categories = len(categories)


class RNN(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super(RNN, self).__init__()
        self.hidden_size = hidden_size
        self.i2h = nn.Linear(n_categories + input_size + hidden_size, hidden_size)
        self.i2o = nn.Linear(n_categories + input_size + hidden_size, output_size)
        self.o2o = nn.Linear(hidden_size + output_size, output_size)
        self.dropout = nn.Dropout(0.1)
        self.softmax = nn.LogSoftmax(dim=1)

    def forward(self, category, input, hidden):
        input_combined = torch.cat((category, input, hidden), 1)
        hidden = self.i2h(input_combined)
        output = self.i2o(input_combined)
        output = self.o2o(torch.cat((hidden, output), 1))
        return self.softmax(self.dropout(output)), hidden

    def initHidden(self):
        return torch.zeros(1, self.hidden_size)


def category_tensor(category):
    tensor = torch.zeros(1, n_categories)
    tensor[0][categories.index(category)] = 1
    return tensor


def input_tensor(line):
    tensor = torch.zeros(len(line), 1, n_letters)
    for li in range(len(line)):
        tensor[li][0][all_letters.find(line[li])] = 1
    return tensor


def target_tensor(line):
    indexes = [all_letters.find(line[li]) for li in range(1, len(line))]
    return torch.LongTensor(indexes + [n_letters - 1])


criterion = nn.NLLLoss()
learning_rate = 0.0005
rnn = RNN(n_letters, 64, n_letters)


def train(category, line):
    target = target_tensor(line).unsqueeze(-1)
    hidden = rnn.initHidden()
    rnn.zero_grad()
    loss = torch.Tensor([0])
    for letter, wanted in zip(input_tensor(line), target):
        output, hidden = rnn(category_tensor(category), letter, hidden)
        loss += criterion(output, wanted)
    loss.backward()
    for p in rnn.parameters():
        p.data.add_(p.grad.data, alpha=-learning_rate)
    return loss.item() / len(line)


def sample(category, start_letter, max_length=6):
    with torch.no_grad():
        hidden, output_name = rnn.initHidden(), start_letter
        letter = input_tensor(start_letter)
        for _ in range(max_length):
            output, hidden = rnn(category_tensor(category), letter[0], hidden)
            topv, topi = output.topk(1)
            topi = topi[0][0].item()
            if topi == n_letters - 1:
                break
            output_name += all_letters[topi]
            letter = input_tensor(all_letters[topi])
    return output_name


for epoch in range(6):
    total = 0.0
    for category in categories:
        for name in names[category]:
            total += train(category, name)
    print("epoch %d loss %.4f" % (epoch, total / 8))
rnn.eval()
print([sample(category, letter) for category in categories for letter in "mg"])
