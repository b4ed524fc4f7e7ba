"""Random state (`torch.random`): the default generator, seeds, states."""

from flambeau._tensor.random import default_generator as default_generator
from flambeau._tensor.random import fork_rng as fork_rng
from flambeau._tensor.random import get_rng_state as get_rng_state
from flambeau._tensor.random import initial_seed as initial_seed
from flambeau._tensor.random import manual_seed as manual_seed
from flambeau._tensor.random import seed as seed
from flambeau._tensor.random import set_rng_state as set_rng_state
from flambeau._tensor.random import thread_safe_generator as thread_safe_generator
