"""backward and grad: order, accumulation, hooks, views and in-place changes. Expected numbers are worked out by
hand."""

import importlib

import pytest

import flambeau as torch


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def test_the_guides_first_gradient():
    a = torch.ones((2, 2), requires_grad=True)
    ((a + 5).mean()).backward()
    assert a.grad.tolist() == [[0.25, 0.25], [0.25, 0.25]]


def test_gradients_accumulate_and_share_paths():
    x = leaf(2.0)
    y = x * x
    (y + y * x).backward()  # x^2 + x^3
    assert x.grad.tolist() == [4 + 12]
    (x * 3).backward()
    assert x.grad.tolist() == [19]


def test_a_second_backward_needs_retain_graph():
    x = leaf(2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_double_backward():
    x = leaf(3.0)
    (g,) = torch.autograd.grad(x * x * x, x, create_graph=True)
    (gg,) = torch.autograd.grad(g, x, create_graph=True)
    (ggg,) = torch.autograd.grad(gg, x)
    assert (g.item(), gg.item(), ggg.item()) == (27, 18, 6)


def test_non_scalar_outputs_need_weights():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="only for scalar outputs"):
        (x * 2).backward()
    (x * 2).backward(torch.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 20]
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(torch.ones(3))


def test_what_needs_no_gradient_says_so():
    with pytest.raises(RuntimeError, match="does not require grad"):
        (torch.ones(1) * 2).backward()
    x, unused = leaf(1.0), leaf(1.0)
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(x * 2, unused)
    assert torch.autograd.grad(x * 2, (x, unused), allow_unused=True)[1] is None
    assert torch.autograd.grad(x * 2, unused, materialize_grads=True)[0].tolist() == [0]


def test_backward_into_chosen_inputs_only():
    x, y = leaf(2.0), leaf(3.0)
    (x * y).backward(inputs=[x])
    assert x.grad.tolist() == [3] and y.grad is None


def test_what_only_receives_a_wanted_gradient_is_not_run():
    x = leaf(0.0, 1.0)
    y = x.exp()
    y.mul_(2)  # its gradient would need what was written over
    assert torch.autograd.grad(y.sum(), y)[0].tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="in-place|changed"):
        torch.autograd.grad(y.sum(), (y, x))
    y, ran = x * x, []
    y.register_hook(lambda g: ran.append("tensor"))
    y.grad_fn.register_prehook(lambda g: ran.append("node"))
    y.grad_fn.register_hook(lambda a, b: ran.append("after"))
    torch.autograd.grad(y.sum(), y)
    assert ran == ["tensor"]
    y.sum().backward()  # what it has saved was not released
    assert x.grad.tolist() == [0, 2] and ran == ["tensor", "tensor", "node", "after"]


def test_hooks_see_and_replace_gradients():
    x = leaf(1.0, 1.0)
    seen = []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = x.register_hook(lambda g: g * 10)
    x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.tolist()))
    y.sum().backward()
    assert seen == [[1, 1], [20, 20]]
    handle.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_retain_grad_keeps_an_inner_gradient():
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    (y * y).backward()
    assert y.grad.tolist() == [12] and y.retains_grad


def test_gradient_modes():
    x = leaf(1.0)
    with torch.no_grad():
        assert not (x * 2).requires_grad
        with torch.enable_grad():
            assert (x * 2).requires_grad
    with torch.inference_mode():
        assert not (x * 2).requires_grad and torch.is_inference_mode_enabled()
    torch.set_grad_enabled(False)
    try:
        assert not torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)

    @torch.no_grad()
    def double(t):
        return t * 2

    @torch.no_grad()
    def several(t):
        yield t * 2
        yield t * 3

    assert not double(x).requires_grad and torch.is_grad_enabled()
    assert [t.requires_grad for t in several(x)] == [False, False] and torch.is_grad_enabled()


def test_saved_tensor_changed_in_place_names_both_lines():
    x = leaf(1.0, 2.0)
    y = x * 2
    z = y * y  # saves y
    y.add_(1)  # changes it
    with pytest.raises(
        RuntimeError,
        match=r"inplace operation: \[torch.FloatTensor \[2\]\], which is output 0 of MulBackward0, is at version 1; "
        r"expected version 0 instead.\n  saved by MulBackward0 at test_engine.py:\d+\n  changed at test_engine.py:\d+",
    ):
        z.sum().backward()
    e = (x * 1).exp()
    e.mul_(2)
    with pytest.raises(RuntimeError, match="inplace operation"):
        e.sum().backward()


def test_what_pytorch_does_not_save_may_change_though_it_is_needed():
    """Standardised values and scores are kept with their contents: an in-place ReLU after InstanceNorm is common."""
    x = torch.rand(2, 3, 4, 4, requires_grad=True)
    weights = torch.rand(2, 3, 4, 4)

    def loss(inplace):
        y = torch.nn.functional.relu(torch.nn.functional.instance_norm(x), inplace=inplace)
        scores = y.mean((2, 3))
        found = torch.nn.functional.cross_entropy(scores, torch.tensor([0, 2])) + (y * weights).sum()
        if inplace:
            scores.mul_(0)
        return found

    for function in (loss, torch.compile(loss)):
        changed, kept = [torch.autograd.grad(function(inplace), x)[0] for inplace in (True, False)]
        assert torch.equal(changed, kept)


def test_what_is_not_saved_may_change():
    x = leaf(1.0, 2.0)
    y = x * 2
    z = y + y
    total = y.sum()
    y.add_(1)
    (z.sum() + total).backward()
    assert x.grad.tolist() == [6, 6]


def test_leaves_and_their_views_refuse_in_place_operations():
    x = leaf(1.0, 2.0)
    for write in (lambda: x.add_(1), lambda: x.zero_(), lambda: x[0].fill_(3), lambda: x.__setitem__(0, 5.0)):
        with pytest.raises(RuntimeError, match="leaf Variable"):
            write()
    assert x.tolist() == [1, 2]
    with torch.no_grad():
        x.add_(1)
    assert x.tolist() == [2, 3] and x.is_leaf


def test_in_place_operations_are_differentiated():
    x = leaf(2.0, 3.0)
    y = x * 1
    y.mul_(x.detach())
    y += x
    y.sum().backward()
    assert x.grad.tolist() == [3, 4]


@pytest.mark.parametrize(
    "use",
    [
        lambda view: (view * view).sum(),
        lambda view: (view.new_zeros(2, 3).copy_(view) ** 2).sum(),
        lambda view: torch.cat([view, view]).pow(2).sum() / 2,
        lambda view: view.view(-1) @ view.view(-1),
    ],
    ids=["pointwise", "written", "listed", "viewed"],
)
def test_a_view_follows_its_base_that_was_changed_in_place(use):
    leaf = torch.arange(6.0, requires_grad=True)
    base = leaf * 1
    view = base.view(2, 3)
    base.mul_(3)
    use(view).backward()
    assert leaf.grad.tolist() == [18.0 * i for i in range(6)]


def test_writing_into_a_view_rewrites_the_history_of_base_and_views():
    x = leaf(1.0, 2.0, 3.0)
    base = x * 1
    view = base[1:]
    first = base[:2]
    view.mul_(10)
    assert base.tolist() == [1, 20, 30] and first.tolist() == [1, 20]
    (base.sum() + first.sum() + (first * 2).sum()).backward()
    assert x.grad.tolist() == [4, 40, 10]


def test_assigning_into_a_tensor_without_history():
    w = leaf(5.0)
    buffer = torch.zeros(3)
    buffer[1] = w[0] * 2
    buffer.sum().backward()
    assert buffer.requires_grad and w.grad.tolist() == [2]


def test_detach_shares_memory_and_data_goes_unnoticed():
    x = leaf(1.0, 2.0)
    y = x * x  # saves x
    x.data.mul_(3)
    y.sum().backward()  # no complaint, with the new numbers, as PyTorch
    assert x.tolist() == [3, 6] and x.grad.tolist() == [6, 12]
    d = x.detach()
    assert not d.requires_grad and d.data_ptr() == x.data_ptr()


def test_grads_of_shared_parameters_are_not_aliased():
    x, y = leaf(1.0), leaf(1.0)
    (x + y).backward()
    x.grad.add_(5)
    assert y.grad.tolist() == [1]


def test_anomaly_mode_names_the_forward_line():
    x = leaf(-1.0)
    with (
        torch.autograd.detect_anomaly(),
        pytest.raises(RuntimeError, match=r"Function 'SqrtBackward0' returned nan[\s\S]*test_engine.py:\d+"),
    ):
        x.sqrt().sum().backward()


def test_graphs_are_freed_without_the_garbage_collector():
    import gc
    import weakref

    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0)
        y = (x * 2).exp()
        gone = weakref.ref(y)
        y.sum().backward()
        del y
        assert gone() is None
    finally:
        gc.enable()


def test_grad_assignment_is_checked():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="different size"):
        x.grad = torch.ones(2)
    with pytest.raises(TypeError):
        x.grad = 1
    x.grad = torch.ones(1)
    del x.grad
    assert x.grad is None


def test_requires_grad_is_for_floating_leaves():
    with pytest.raises(RuntimeError, match="floating point"):
        torch.tensor([1]).requires_grad_()
    y = leaf(1.0) * 2
    with pytest.raises(RuntimeError, match="leaf"):
        y.requires_grad_(False)


def test_a_path_without_gradient_takes_nothing_from_the_others():
    class Nothing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return None

    x = leaf(1.0, 2.0)
    y = x * 2
    dead = Nothing.apply(y)
    (dead + (y * 3)).sum().backward()  # the gradient of y arrives before the None
    assert x.grad.tolist() == [6, 6]


def test_forward_mode_says_what_gives_the_same():
    forward_ad = importlib.import_module("flambeau.autograd.forward_ad")
    assert forward_ad is torch.autograd.forward_ad
    for name in ("dual_level", "make_dual", "enter_dual_level", "exit_dual_level"):
        with pytest.raises(NotImplementedError, match="torch.func.jvp"):
            getattr(forward_ad, name)
