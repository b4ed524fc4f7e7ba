"""A graph convolutional network on a sparse, normalised adjacency matrix (Kipf and Welling's layout)."""


import math

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.nn.parameter import Parameter

torch.manual_seed(42)


def ring_of_communities(communities=4, size=12):
    """Nodes of one community are linked with chance 0.4, others with 0.02."""
    n = communities * size
    labels = torch.arange(n) // size
    chance = torch.where(labels[:, None] == labels[None, :], 0.4, 0.02)
    upper = torch.triu((torch.rand(n, n) < chance).float(), diagonal=1)
    adj = upper + upper.t() + torch.eye(n)
    degree = adj.sum(1).pow(-0.5)
    return degree[:, None] * adj * degree[None, :], labels


class GraphConvolution(nn.Module):
    def __init__(self, in_features, out_features, bias=True):
        super(GraphConvolution, self).__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.FloatTensor(in_features, out_features))
        if bias:
            self.bias = Parameter(torch.FloatTensor(out_features))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / math.sqrt(self.weight.size(1))
        self.weight.data.uniform_(-stdv, stdv)
        if self.bias is not None:
            self.bias.data.uniform_(-stdv, stdv)

    def forward(self, input, adj):
        support = torch.mm(input, self.weight)
        output = torch.spmm(adj, support)
        return output + self.bias if self.bias is not None else output

    def __repr__(self):
        return self.__class__.__name__ + " (" + str(self.in_features) + " -> " + str(self.out_features) + ")"


class GCN(nn.Module):
    def __init__(self, nfeat, nhid, nclass, dropout):
        super(GCN, self).__init__()
        self.gc1 = GraphConvolution(nfeat, nhid)
        self.gc2 = GraphConvolution(nhid, nclass)
        self.dropout = dropout

    def forward(self, x, adj):
        x = F.relu(self.gc1(x, adj))
        x = F.dropout(x, self.dropout, training=self.training)
        return F.log_softmax(self.gc2(x, adj), dim=1)


dense, labels = ring_of_communities()
indices = dense.nonzero().t()
adj = torch.sparse_coo_tensor(indices, dense[indices[0], indices[1]], dense.shape).coalesce()
features = F.one_hot(labels, 4).float() * 0.5 + torch.randn(len(labels), 4)
idx_train = torch.arange(0, len(labels), 4)
idx_test = torch.arange(2, len(labels), 4)
model = GCN(4, 16, 4, 0.3)
print(model)
optimizer = optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)


def accuracy(output, labels):
    preds = output.max(1)[1].type_as(labels)
    return preds.eq(labels).double().sum() / len(labels)


for epoch in range(40):
    model.train()
    optimizer.zero_grad()
    output = model(features, adj)
    loss_train = F.nll_loss(output[idx_train], labels[idx_train])
    loss_train.backward()
    optimizer.step()
    if epoch % 10 == 9:
        model.eval()
        output = model(features, adj)
        loss_test = F.nll_loss(output[idx_test], labels[idx_test])
        acc_test = accuracy(output[idx_test], labels[idx_test])
        text = "Epoch: {:04d} loss_train: {:.4f} loss_test: {:.4f} acc_test: {:.4f}"
        print(text.format(epoch + 1, loss_train.item(), loss_test.item(), acc_test.item()))
