"""Experiment (d) of the thoughts: how many bits pass through a thought, and how many a straight cut finds in it.

Rate and distortion: thoughts are turned into the directions in which training worlds' thoughts vary, rounded to
steps of one size, and coded with the frequencies of training thoughts (an arithmetic coder comes within two bits
of that length for the whole message: Rissanen & Langdon 1979); what is foretold from the rounded thoughts is
compared with the truth. Lower bound: what a linear probe says of a hidden force is worth
log p(label | thought) − log p(label) bits a world (Barber & Agakov 2003), beside shuffled labels. Beside both stand the
discrete arm's codes and the 39 bits a second of speech (Coupé et al. 2019).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from clay4d.benchmark.results import Metric
from clay4d.benchmark.studies import (
    Material,
    Rows,
    Run,
    StudyConfig,
    foretold,
    fresh,
    of_train,
    train,
    world_errors,
)
from clay4d.benchmark.suites import Claim
from clay4d.world_model.model import WorldModel
from clay4d.world_model.reasoners import Thoughts
from clay4d.world_model.training.score import Episodes

SPEECH = 39.0
"""Bits a second of spoken language, a mean over 17 languages."""
OWN, NOTHING = "own thoughts", "mean thought, 0 bits"
FORCES = ("none", "drag", "wind", "magnus", "tether", "restitution")
KEPT = 32
"""Directions of greatest variance that a probe sees."""
RIDGES = (1e-3, 1e-2, 1e-1, 1.0)

CONFIG = StudyConfig(
    "thoughts-bits",
    "Thoughts rounded to steps (in standard deviations of training worlds' thoughts) and coded with training "
    "worlds' frequencies; probes learn on training worlds; all numbers are of held-out worlds.",
    (
        Metric("centre_error", "m", "lower", "distance of movers' centres from the truth"),
        Metric("bits", "bits", "lower", "length of a thought's code"),
        Metric("shift", "m", "lower", "distance of what is foretold from what its own thoughts foretell"),
        Metric("bits_per_second", "bits/s", "higher", "bits that pass through thoughts in a second of the scene"),
        Metric("probe_bits", "bits", "higher", "what a linear probe tells of a label, at least"),
    ),
    (
        Claim("thoughts-carry-bits", "all", OWN, NOTHING, 0.05, True,
              "With every thought replaced by the mean thought (0 bits), the error rises by a twentieth."),
        Claim("denser-than-speech", "all", "coarsest within 5 %", "", SPEECH, False,
              "The coarsest thoughts that cost less than a twentieth of the error carry more than 39 bits a second.", "bits_per_second"),
        Claim("denser-than-codes", "all", "coarsest within 5 %", "discrete codes", 0.0, False,
              "They carry more bits a second than the discrete arm's codes.", "bits_per_second"),
        Claim("force-is-told", "hidden force", "thoughts", "shuffled", 0.1, False,
              "A linear probe reads a tenth of a bit more of the hidden force from thoughts than with shuffled labels.", "probe_bits"),
        Claim("thoughts-tell-more-than-input", "hidden force", "thoughts", "read", 0.05, False,
              "It reads a twentieth of a bit more than from what the reasoner was given.", "probe_bits"),
    ),
    levels=(0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
)  # fmt: skip
QUICK = replace(CONFIG, train=120, worlds=40, seeds=(0,), steps=10, batch=8, levels=(0.5, 4.0))


@dataclass
class Rounding:
    """Thoughts as a receiver of their code has them; it also keeps how long each code was.

    Used in the place of a `Disturbance`.
    """

    mean: Float[Tensor, " D"]
    basis: Float[Tensor, "D D"]
    step: float
    """In the units of thoughts; infinite for nothing but the mean."""
    lowest: Int[Tensor, " D"]
    bits: Float[Tensor, "D V"]
    """Length of each value's code, from `lowest` on."""
    lengths: list[Float[Tensor, " N"]] = field(default_factory=list)

    @classmethod
    def learn(cls, thoughts: Float[Tensor, "M D"], step: float) -> Rounding:
        """Directions and frequencies from thoughts; `step` is in root mean squares of their deviations.

        >>> x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
        >>> Rounding.learn(x, float("inf")).apply(x, 0).std(0).max().item() < 1e-6
        True
        """
        mean = thoughts.mean(0)
        off = thoughts - mean
        basis = torch.linalg.svd(off, full_matrices=thoughts.shape[0] < thoughts.shape[1])[2].T
        size = step * float(off.square().mean().sqrt())
        if not np.isfinite(size):
            none = torch.zeros(len(mean), dtype=torch.long)
            return cls(mean, basis, size, none, torch.zeros(len(mean), 1))
        index = (off @ basis / size).round().long()
        lowest, span = (
            index.min(0).values,
            int((index.max(0).values - index.min(0).values).max()) + 1,
        )
        counts = torch.zeros(index.shape[1], span).scatter_add_(
            1, (index - lowest).T, torch.ones(index.shape[1], len(index))
        )
        there = torch.arange(span) <= (index.max(0).values - lowest)[:, None]
        share = (counts + 0.5) * there
        bits = -(share / share.sum(1, keepdim=True)).clamp_min(1e-12).log2()
        return cls(mean, basis, size, lowest, torch.where(there, bits, torch.inf))

    def apply(self, thought: Float[Tensor, "N D"], step: int) -> Float[Tensor, "N D"]:
        """The thought as it is received."""
        if not np.isfinite(self.step):
            self.lengths.append(torch.zeros(len(thought)))
            return self.mean.expand_as(thought)
        place = ((thought - self.mean) @ self.basis / self.step).round().long() - self.lowest
        most = torch.isfinite(self.bits).sum(1) - 1
        place = torch.minimum(place.clamp_min(0), most)
        self.lengths.append(self.bits.T.gather(0, place).sum(1))
        return self.mean + (place + self.lowest).float() * self.step @ self.basis.T


def stacked(thoughts: tuple[Thoughts, ...]) -> Float[Tensor, "M D"]:
    """All thoughts of all worlds and stretches."""
    return torch.cat([t.vectors.flatten(0, 1) for t in thoughts])


def told_bits(
    train_set: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], *, classes: int,
    shuffled: int | None = None,
) -> Float[np.ndarray, " N"]:  # fmt: skip
    """What a linear probe says of each test world's label, bits beyond the labels' frequencies.

    Args:
        shuffled: the seed of a shuffle of the training labels, the control.

    >>> x = np.repeat(np.eye(2), 50, 0)
    >>> float(told_bits((x, np.repeat([0, 1], 50)), (x, np.repeat([0, 1], 50)), classes=2).mean()) > 0.9
    True
    """
    x, y = train_set
    if shuffled is not None:
        y = np.random.default_rng(shuffled).permutation(y)
    mean, scale = x.mean(0), x.std(0) + 1e-6
    turn = np.linalg.svd((x - mean) / scale, full_matrices=False)[2][:KEPT].T
    a, b = ((v - mean) / scale @ turn / np.sqrt(x.shape[1]) for v in (x, test[0]))
    own, held = np.arange(len(a)) % 5 != 0, np.arange(len(a)) % 5 == 0
    losses = [
        -_log_chances(_fit(a[own], y[own], classes, r), a[held])[np.arange(held.sum()), y[held]].mean()
        for r in RIDGES
    ]  # fmt: skip
    said = _log_chances(_fit(a, y, classes, RIDGES[int(np.argmin(losses))]), b)
    usual = np.log((np.bincount(y, minlength=classes) + 0.5) / (len(y) + 0.5 * classes))
    found: np.ndarray = (said[np.arange(len(b)), test[1]] - usual[test[1]]) / np.log(2)
    return found


def _fit(x: np.ndarray, y: np.ndarray, classes: int, ridge: float) -> Tensor:
    """Weights of a logistic regression with a bias that costs nothing."""
    z = torch.cat([torch.from_numpy(x), torch.ones(len(x), 1, dtype=torch.float64)], 1)
    weight = torch.zeros(z.shape[1], classes, dtype=torch.float64, requires_grad=True)
    target = torch.from_numpy(y)
    solver = torch.optim.LBFGS([weight], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        loss = torch.nn.functional.cross_entropy(z @ weight, target)
        loss = loss + ridge * weight[:-1].square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    return weight.detach()


def _log_chances(weight: Tensor, x: np.ndarray) -> np.ndarray:
    z = torch.cat([torch.from_numpy(x), torch.ones(len(x), 1, dtype=torch.float64)], 1)
    said: np.ndarray = torch.log_softmax(z @ weight, 1).numpy()
    return said


def per_second(model: WorldModel, thoughts: int) -> float:
    """Thoughts in a second of the scene."""
    return thoughts * 12.0 / model.config.reasoning.segment


def rates(run: Run, made: Material, known: Float[Tensor, "M D"]) -> Rows:
    """Error and length of the code by step size, and the coarsest that costs less than 5 %."""
    c, shown = run.config, made.given.context.positions.shape[1]
    plain, _ = foretold(made.model, made.given, thoughts=c.thoughts)
    before = world_errors(plain, made.given, shown=shown)
    rows = run.numbers("all", OWN, "centre_error", before)
    coarsest = np.full(len(before), 32.0 * known.shape[1])
    counted = replace(made.given, truth=plain)
    for step in (*sorted(c.levels), float("inf")):
        name = NOTHING if step == float("inf") else f"steps of {step:g}"
        code = Rounding.learn(known, step)
        after, _ = foretold(made.model, made.given, thoughts=c.thoughts, disturbance=code)
        errors = world_errors(after, made.given, shown=shown)
        bits = torch.stack(code.lengths).mean(0).numpy()
        rows += run.numbers("all", name, "centre_error", errors)
        rows += run.numbers("all", name, "bits", bits)
        rows += run.numbers("all", name, "shift", world_errors(after, counted, shown=shown))
        if errors.mean() < 1.05 * before.mean():
            coarsest = bits
    second = per_second(made.model, c.thoughts)
    return rows + run.numbers("all", "coarsest within 5 %", "bits_per_second", coarsest * second)


def codes(run: Run, made: Material, seed: int) -> Rows:
    """The discrete arm, trained from the same start: its error and the entropy of its codes."""
    c = run.config
    arm = fresh(made.model, "discrete", seed=seed)
    arm = train(
        arm, made.cached, steps=c.steps, seed=seed, batch=c.batch, curriculum=0.0, blind=0.0
    )
    positions, had = foretold(arm, made.given, thoughts=c.thoughts)
    _, known = foretold(arm, of_train(made), thoughts=c.thoughts)
    use = torch.ones(8, 5, 5, 5)
    for stretch in known.thoughts:
        assert stretch.codes is not None
        for code in stretch.codes.flatten(0, 1):
            use[tuple(code.tolist())] += 1
    bits = -(use / use.sum()).log2()
    lengths = torch.stack([bits[tuple(t.codes.unbind(-1))].mean(1) for t in had.thoughts]).mean(0)
    shown = made.given.context.positions.shape[1]
    second = per_second(arm, c.thoughts)
    return [
        *run.numbers("all", "discrete arm", "centre_error", world_errors(positions, made.given, shown=shown), seed=seed),
        *run.numbers("all", "discrete codes", "bits", lengths.numpy(), seed=seed),
        *run.numbers("all", "discrete codes", "bits_per_second", lengths.numpy() * second, seed=seed),
    ]  # fmt: skip


def labelled(given: Episodes) -> dict[str, tuple[Int[np.ndarray, " N"], int]]:
    """What probes are asked: hidden things, and one that is seen, to show that they can read."""
    force = np.array([FORCES.index(h) for h in given.hidden])
    count = np.clip(given.context.present.sum(1).numpy(), 1, 6) - 1
    return {
        "hidden force": (force, len(FORCES)), "is a force hidden": ((force > 0).astype(int), 2),
        "number of things": (count, 6),
    }  # fmt: skip


def told(run: Run, made: Material) -> Rows:
    """What linear probes read in the first stretch's thoughts and in what was given."""
    from clay4d.benchmark.probes import states

    sets = (of_train(made), made.given)
    seen = [states(made.model, s, thoughts=run.config.thoughts) for s in sets]
    read = [s["read"] for s in seen]
    thought = [np.concatenate([v for k, v in s.items() if k != "read"], 1) for s in seen]
    asked = [labelled(s) for s in sets]
    rows = Rows()
    for label, (y, classes) in asked[0].items():
        test = asked[1][label][0]
        for name, x in (("thoughts", thought), ("read", read)):
            found = told_bits((x[0], y), (x[1], test), classes=classes)
            rows += run.numbers(label, name, "probe_bits", found)
        for seed in run.config.seeds:
            found = told_bits((thought[0], y), (thought[1], test), classes=classes, shuffled=seed)
            rows += run.numbers(label, "shuffled", "probe_bits", found, seed=seed)
    return rows


def study(run: Run, made: Material) -> None:
    """All parts."""
    of = 2 + len(run.config.seeds)

    def rate() -> Rows:
        _, had = foretold(made.model, of_train(made), thoughts=run.config.thoughts)
        return rates(run, made, stacked(had.thoughts))

    run.part("rates", rate, of=of)
    run.part("probes", lambda: told(run, made), of=of)
    for seed in run.config.seeds:
        run.part(f"codes-{seed}", lambda seed=seed: codes(run, made, seed), of=of)  # type: ignore[misc]
