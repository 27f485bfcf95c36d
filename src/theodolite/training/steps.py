"""A time in training, so that nobody has to guess whether a number counts epochs or steps."""

from __future__ import annotations

from dataclasses import dataclass

from theodolite.errors import InvalidArgument


@dataclass(frozen=True, order=True)
class Step:
    """The moment after ``iteration`` optimizer steps, of which an epoch has ``per_epoch``.

    Steps of the same training are ordered by time; steps with other epochs are not compared
    by meaning. Raises `InvalidArgument` for a negative time or an empty epoch.

    >>> Step.at(epoch=2, per_epoch=10), str(Step(25, 10)), Step(25, 10).epoch
    (Step(iteration=20, per_epoch=10), 'epoch 2 + 5 steps', 2)
    """

    iteration: int
    per_epoch: int

    def __post_init__(self) -> None:
        if self.iteration < 0 or self.per_epoch < 1:
            raise InvalidArgument(
                "iteration must be at least 0 and per_epoch at least 1; "
                f"got {self.iteration} and {self.per_epoch}.",
                code="E-T41",
            )

    @classmethod
    def at(cls, *, epoch: int, per_epoch: int) -> Step:
        """The moment after `epoch` whole epochs."""
        return cls(epoch * per_epoch, per_epoch)

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.iteration // self.per_epoch

    @property
    def within(self) -> int:
        """Optimizer steps done since the last whole epoch."""
        return self.iteration % self.per_epoch

    def __str__(self) -> str:
        return f"epoch {self.epoch}" + (f" + {self.within} steps" if self.within else "")
