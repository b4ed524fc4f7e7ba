"""Advantage actor-critic with parallel corridors, entropy bonus and generalised advantages."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import RMSprop

torch.manual_seed(7)
N_ENVS, LENGTH, STEPS, GAMMA, TAU = 8, 7, 10, 0.97, 0.95


class Corridors:
    """Walkers on a line: the right end pays 1, the left end costs 1; both begin anew in the middle."""

    def __init__(self):
        self.at = torch.full((N_ENVS,), LENGTH // 2)

    def observe(self):
        return F.one_hot(self.at, LENGTH).float()

    def step(self, actions):
        self.at = self.at + 2 * actions - 1
        reward = (self.at == LENGTH - 1).float() - (self.at == 0).float() - 0.01
        done = (self.at == LENGTH - 1) | (self.at == 0)
        self.at = torch.where(done, LENGTH // 2, self.at)
        return self.observe(), reward, done


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(LENGTH, 32), nn.Tanh())
        self.actor, self.critic = nn.Linear(32, 2), nn.Linear(32, 1)
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.orthogonal_(m.weight, gain=0.5)
                nn.init.zeros_(m.bias)

    def forward(self, x):
        h = self.body(x)
        return self.actor(h), self.critic(h).squeeze(-1)


model = ActorCritic()
optimizer = RMSprop(model.parameters(), lr=7e-3, eps=1e-5, alpha=0.99)
envs = Corridors()
obs = envs.observe()
for update in range(1, 41):
    log_probs, values, rewards, masks, entropies = [], [], [], [], []
    for _ in range(STEPS):
        logits, value = model(obs)
        probs, logs = F.softmax(logits, -1), F.log_softmax(logits, -1)
        action = probs.multinomial(num_samples=1).detach()
        obs, reward, done = envs.step(action.squeeze(1))
        log_probs.append(logs.gather(1, action).squeeze(1))
        entropies.append(-(logs * probs).sum(1))
        values.append(value)
        rewards.append(reward)
        masks.append(1.0 - done.float())
    with torch.no_grad():
        next_value = model(obs)[1]
    advantages, gae = torch.zeros(STEPS, N_ENVS), torch.zeros(N_ENVS)
    for t in reversed(range(STEPS)):
        following = next_value if t == STEPS - 1 else values[t + 1].detach()
        delta = rewards[t] + GAMMA * masks[t] * following - values[t].detach()
        gae = delta + GAMMA * TAU * masks[t] * gae
        advantages[t] = gae
    values, log_probs, entropies = map(torch.stack, (values, log_probs, entropies))
    returns = advantages + values.detach()
    policy_loss = -(advantages * log_probs).mean()
    value_loss = F.mse_loss(values, returns)
    loss = policy_loss + 0.5 * value_loss - 0.01 * entropies.mean()
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    if update % 10 == 0:
        print(f"update {update}: reward {torch.stack(rewards).mean().item():.4f} loss {loss.item():.4f} "
              f"entropy {entropies.mean().item():.4f}")  # fmt: skip
