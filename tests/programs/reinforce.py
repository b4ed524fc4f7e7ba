"""REINFORCE with a baseline-free return on a corridor: walk right to the goal, every step costs."""

from collections import deque

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

torch.manual_seed(543)


class Corridor:
    def __init__(self, length=6):
        self.length = length

    def reset(self):
        self.at, self.steps = 0, 0
        return self._state()

    def step(self, action):
        self.at = max(0, self.at + (1 if action == 1 else -1))
        self.steps += 1
        done = self.at == self.length - 1 or self.steps >= 30
        return self._state(), (5.0 if self.at == self.length - 1 else -0.2), done

    def _state(self):
        state = np.zeros(self.length, dtype=np.float32)
        state[self.at] = 1
        return state


class Policy(nn.Module):
    def __init__(self):
        super(Policy, self).__init__()
        self.affine1 = nn.Linear(6, 32)
        self.dropout = nn.Dropout(p=0.1)
        self.affine2 = nn.Linear(32, 2)
        self.saved_log_probs, self.rewards = [], []

    def forward(self, x):
        x = F.relu(self.dropout(self.affine1(x)))
        return F.softmax(self.affine2(x), dim=1)


policy = Policy()
optimizer = optim.Adam(policy.parameters(), lr=1e-2)
eps = np.finfo(np.float32).eps.item()


def select_action(state):
    probs = policy(torch.from_numpy(state).float().unsqueeze(0))
    action = torch.multinomial(probs, 1)
    policy.saved_log_probs.append(probs.log().gather(1, action).squeeze(1))
    return action.item()


def finish_episode(gamma=0.95):
    R, returns, policy_loss = 0, deque(), []
    for r in policy.rewards[::-1]:
        R = r + gamma * R
        returns.appendleft(R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    for log_prob, R in zip(policy.saved_log_probs, returns):
        policy_loss.append(-log_prob * R)
    optimizer.zero_grad()
    policy_loss = torch.cat(policy_loss).sum()
    policy_loss.backward()
    optimizer.step()
    del policy.rewards[:]
    del policy.saved_log_probs[:]


env = Corridor()
running = 0.0
for i_episode in range(40):
    state, ep_reward = env.reset(), 0
    for t in range(1, 100):
        state, reward, done = env.step(select_action(state))
        policy.rewards.append(reward)
        ep_reward += reward
        if done:
            break
    running = 0.1 * ep_reward + 0.9 * running
    finish_episode()
    if i_episode % 10 == 9:
        print("Episode {}\tLast reward: {:.2f}\tAverage reward: {:.3f}".format(i_episode, ep_reward, running))
