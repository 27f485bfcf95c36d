"""A symmetric linear map known by its products."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

from theodolite.errors import InvalidArgument, NotFinite

Product = Callable[[Tensor], Tensor]
CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Operator:
    """A real symmetric matrix `A` of shape ``(size, size)``, seen only through products.

    Hessians, Gauss-Newton matrices, Fisher matrices, kernels and test matrices are all values
    of this one type. ``matvec`` maps ``(size,)`` to ``(size,)``; ``matmat`` maps ``(size, k)`` to
    ``(size, k)``, column by column unless a faster one is given. ``facts`` are recorded in the
    attributes of every result computed from the operator.

    Symmetry is not checked: call `theodolite.certify` on the objective when in doubt.

    >>> a = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    >>> Operator(lambda v: a * v, 3, a.dtype, "diagonal").matvec(torch.ones(3, dtype=a.dtype))
    tensor([1., 2., 4.], dtype=torch.float64)
    """

    matvec: Product
    size: int
    dtype: torch.dtype
    label: str
    device: torch.device = CPU
    matmat: Product | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InvalidArgument(f"size must be at least 1; got {self.size}.", code="E-L01")
        if not self.dtype.is_floating_point:
            raise InvalidArgument(
                f"dtype must be a real floating-point type; got {self.dtype}.", code="E-L23"
            )
        if self.matmat is None:
            columns = self.matvec
            by_column: Product = lambda m: torch.stack([columns(v) for v in m.unbind(1)], 1)  # noqa: E731
            object.__setattr__(self, "matmat", by_column)

    @classmethod
    def from_matrix(cls, matrix: Float[Tensor, "rows columns"], label: str = "matrix") -> Operator:
        """The operator of a dense symmetric matrix, which is not copied.

        Raises if it is not square, finite and symmetric to 1e-5 of its largest entry.

        >>> Operator.from_matrix(torch.diag(torch.tensor([3.0, 1.0]))).size
        2
        """
        if matrix.shape[0] != matrix.shape[1]:
            raise InvalidArgument(
                f"matrix must be square; got shape {tuple(matrix.shape)}.", code="E-L02"
            )
        if not bool(matrix.isfinite().all()):
            raise NotFinite(
                f"matrix {label!r} is not finite in {int((~matrix.isfinite()).sum())} of "
                f"{matrix.numel()} entries.",
                code="E-L04",
            )
        gap = float((matrix - matrix.T).abs().max()) if matrix.numel() else 0.0
        scale = float(matrix.abs().max()) if matrix.numel() else 0.0
        if gap > 1e-5 * scale:
            raise InvalidArgument(
                f"matrix must be symmetric; |A - A'| reaches {gap:.3g} where |A| reaches "
                f"{scale:.3g}.",
                fix="pass (matrix + matrix.T) / 2 if that is what you mean.",
                code="E-L03",
            )
        kept = matrix.detach()
        multiply: Product = lambda v: kept @ v  # noqa: E731
        return cls(multiply, len(kept), kept.dtype, label, kept.device, multiply)

    def dense(self) -> Float[Tensor, "size size"]:
        """The whole matrix, by `size` products: for tests and tiny networks."""
        assert self.matmat is not None
        return self.matmat(torch.eye(self.size, dtype=self.dtype, device=self.device))

    def to_scipy(self) -> LinearOperator:
        """The same map for SciPy's solvers, on NumPy arrays; one device round trip a product.

        >>> a = Operator.from_matrix(torch.diag(torch.tensor([3.0, 1.0])))
        >>> a.to_scipy().matvec([1.0, 1.0]).tolist()
        [3.0, 1.0]
        """

        def apply(product: Product) -> Callable[[Any], Any]:
            def through(x: Any) -> Any:
                moved = torch.as_tensor(x, dtype=self.dtype, device=self.device)
                return product(moved).detach().to("cpu", held).numpy()

            return through

        held = torch.promote_types(self.dtype, torch.float32)  # NumPy has no bfloat16
        one = apply(lambda v: self.matvec(v.reshape(-1)))
        assert self.matmat is not None
        return LinearOperator(
            shape=(self.size, self.size),
            matvec=one,
            rmatvec=one,
            matmat=apply(self.matmat),
            dtype=torch.empty(0, dtype=held).numpy().dtype,
        )
