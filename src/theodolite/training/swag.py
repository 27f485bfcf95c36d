"""A Gaussian through the weights along a training: SWAG."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from theodolite.errors import InvalidArgument
from theodolite.parameters import ParameterSpace
from theodolite.seeds import torch_generator
from theodolite.training.averaging import (
    check_times,
    due,
    finished,
    refuse_foreign,
    refuse_none,
)


@final
class SWAG:
    r"""A Gaussian over weights from the points of one training: mean, diagonal and low rank.

    .. math:: \theta \sim N\Bigl(\bar\theta,\; \tfrac{s}{2}\Bigl(\Sigma_{diag}
              + \tfrac{1}{K-1} \hat D \hat D^T\Bigr)\Bigr)

    with ``theta_bar`` the mean of all points taken in, ``Sigma_diag`` their population variances
    and the columns of ``D`` the last ``K`` differences ``theta_i - theta_bar_i`` to the mean as it
    was then (that point included). As in the paper the first point starts the moments and leaves
    no column; the authors' code keeps a column of zeros for it. ``rank=0`` is SWAG-diagonal, with
    covariance ``s Sigma_diag``.

    Parameters
    ----------
    model
        The network being trained; read, never written.
    rank
        Columns kept, ``K``: 0, or at least 2.
    start, every
        Call with the number of updates done; taken in are ``start``, ``start + every`` and so on.

    Raises
    ------
    InvalidArgument
        For a rank of 1 or below 0 (E-W17), or times that are none (E-W16).

    Notes
    -----
    Moments are Welford's in float64 on the model's device, ``16 P`` bytes, columns in the weights'
    precision; taking a point in costs no pass. The variances are those of the path of SGD, not of
    a posterior, and grow with the learning rate: which scale is calibrated is not checked.
    Maddox, Garipov, Izmailov, Vetrov, Wilson (2019), arXiv:1902.02476.

    Examples
    --------
    >>> w = nn.Linear(1, 1, bias=False)
    >>> swag = SWAG(w, rank=2)
    >>> for step, value in enumerate([1.0, 2.0, 3.0]):
    ...     _ = w.weight.data.fill_(value), swag(step)
    >>> swag.mean.item(), round(swag.variance.item(), 4), swag.deviations.tolist()
    (2.0, 0.6667, [[0.5, 1.0]])
    >>> torch.equal(swag.sample_theta(0), swag.sample_theta(0))
    True
    """

    def __init__(self, model: nn.Module, *, rank: int = 20, start: int = 0, every: int = 1) -> None:
        check_times(start, every, "SWAG")
        if rank < 0 or rank == 1:
            raise InvalidArgument(
                f"rank must be 0 or at least 2; got {rank}.",
                why="the covariance of K columns is divided by K - 1.",
                code="E-W17",
            )
        self.space = ParameterSpace.from_model(model)
        self._model, self._rank, self._start, self._every = model, rank, start, every
        self._count = 0
        self._mean = self._theta().zero_()
        self._spread = self._mean.clone()
        self._columns = self._mean.new_zeros((0, self.space.size), dtype=self.space.dtype)

    def _theta(self) -> Tensor:
        return self.space.flatten(dict(self._model.named_parameters()), dtype=torch.float64).clone()

    @property
    def count(self) -> int:
        """How many points were taken in."""
        return self._count

    @property
    def mean(self) -> Float[Tensor, " params"]:
        """The mean of the points, in float64."""
        return self._mean.clone()

    @property
    def variance(self) -> Float[Tensor, " params"]:
        """The population variance of every coordinate, in float64."""
        return self._spread / max(self._count, 1)

    @property
    def deviations(self) -> Float[Tensor, "params columns"]:
        """The matrix ``D``: the last columns, oldest first."""
        return self._columns.T.clone()

    def __call__(self, step: int) -> bool:
        """Take in the model as it is after `step` updates, if it is due; returns whether it was."""
        if not due(step, self._start, self._every):
            return False
        theta = self._theta()
        before = theta - self._mean
        self._mean = self._mean + before / (self._count + 1)
        after = theta - self._mean
        self._spread = self._spread + before * after
        if self._count and self._rank:
            column = after.to(self._columns.dtype)
            self._columns = torch.cat([self._columns, column.unsqueeze(0)])[-self._rank :]
        self._count += 1
        return True

    def sample_theta(self, seed: int, *, scale: float | int = 1.0) -> Float[Tensor, " params"]:
        """A draw as a flat vector, in the coordinates of ``swag.space``; no pass.

        ``scale`` multiplies the covariance: 0 is the mean, 1 the paper's formula. The same seed
        and moments give the same draw, and draws at two scales lie on one ray. Raises
        `InvalidArgument` for a scale below 0 (E-W17), `InvalidData` with fewer than 3 points, or
        2 for rank 0 (E-W13).
        """
        if not 0 <= scale < float("inf"):
            raise InvalidArgument(
                f"scale must be a finite number, at least 0; got {scale}.", code="E-W17"
            )
        refuse_none(self._count, 3 if self._rank else 2, "SWAG")
        generator = torch_generator(seed, "swag")
        device, columns = self._mean.device, len(self._columns)
        z1 = torch.randn(self.space.size, generator=generator, dtype=torch.float64).to(device)
        shift = self.variance.sqrt() * z1
        if self._rank:
            z2 = torch.randn(columns, generator=generator, dtype=torch.float64).to(device)
            low_rank = self._columns.T.double() @ z2 / (columns - 1) ** 0.5
            shift = (shift + low_rank) / 2**0.5
        theta: Tensor = self._mean + float(scale) ** 0.5 * shift
        return theta.to(self.space.dtype)

    def sample_state(self, seed: int, *, scale: float | int = 1.0) -> dict[str, Tensor]:
        """The same draw as a state dict: frozen parameters and buffers are the model's own.

        BatchNorm's statistics in it belong to other weights; `sample_network` has them computed.
        """
        return self._state(self.sample_theta(seed, scale=scale))

    def sample_network(
        self, seed: int, batches: Iterable[Any] | None = None, *, scale: float | int = 1.0
    ) -> nn.Module:
        """The same draw as a new network in eval mode, with BatchNorm statistics of its own.

        ``batches`` are the training data, needed where there is BatchNorm (E-W14).
        """
        return self._network(self.sample_theta(seed, scale=scale), batches)

    def network(self, batches: Iterable[Any] | None = None) -> nn.Module:
        """A new network in eval mode at the mean; as `sample_network`."""
        refuse_none(self._count, 1, "SWAG")
        return self._network(self._mean, batches)

    def _network(self, theta: Tensor, batches: Iterable[Any] | None) -> nn.Module:
        network = copy.deepcopy(self._model)
        network.load_state_dict(self._state(theta))
        return finished(network, batches)

    def _state(self, theta: Tensor) -> dict[str, Tensor]:
        state = {k: v.detach().clone() for k, v in self._model.state_dict().items()}
        for entry, piece in zip(
            self.space.entries, self.space.views(theta.to(self._mean)).values(), strict=True
        ):
            for name in (entry.name, *entry.aliases):
                if name in state:
                    state[name] = piece.to(state[name]).clone()
        return state

    def state_dict(self) -> dict[str, Any]:
        """Moments, columns and count as tensors."""
        return {
            "count": torch.tensor(self._count),
            "mean": self._mean.clone(),
            "spread": self._spread.clone(),
            "columns": self._columns.clone(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave; raises `StorageError` for another model's (E-W15).

        ``rank``, ``start`` and ``every`` are this object's.
        """
        own = self.state_dict()
        whole = {k: v[:0] if k == "columns" else v for k, v in state_dict.items()}
        refuse_foreign(whole, {**own, "columns": own["columns"][:0]}, "SWAG")
        self._count = int(state_dict["count"])
        self._mean = state_dict["mean"].to(self._mean).clone()
        self._spread = state_dict["spread"].to(self._mean).clone()
        columns = state_dict["columns"].to(self._columns).clone()
        self._columns = columns[-self._rank :] if self._rank else columns[:0]
