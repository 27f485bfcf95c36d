"""All benchmarks, one table after another: python -m benchmarks."""

from __future__ import annotations

from benchmarks import dense_plane, hessian_products

if __name__ == "__main__":
    dense_plane.main()
    print()
    hessian_products.main()
