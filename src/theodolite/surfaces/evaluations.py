"""The ways to evaluate the points of a slice: what is rearranged, precomputed or compiled."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from theodolite.errors import InvalidArgument

_CHUNK = re.compile(r"chunks of (\d+)")


@dataclass(frozen=True)
class Evaluation:
    """One way to evaluate points; the plain one changes nothing.

    ``chunk`` cuts batches into parts of at most so many examples, which stay in a processor's
    cache. ``channels_last`` lays images out as convolutions on a CPU read them fastest.
    ``first_layer`` computes the outputs of layers that see only the data once for the point and
    once for each direction, and adds them up: they are linear in their weights. ``bfloat16`` runs
    the model under autocast, ``compiled`` through ``torch.compile``, and ``threads`` changes the
    number of threads.
    """

    chunk: int | None = None
    channels_last: bool = False
    first_layer: bool = False
    bfloat16: bool = False
    compiled: bool = False
    threads: int | None = None

    @property
    def name(self) -> str:
        """What `parsed` reads again.

        >>> Evaluation(chunk=64, first_layer=True).name
        'chunks of 64, first layer'
        """
        words = [f"chunks of {self.chunk}"] if self.chunk is not None else []
        words += [text for field, text in WORDS.items() if getattr(self, field)]
        words += [f"{self.threads} threads"] if self.threads is not None else []
        return ", ".join(words) or "plain"


PLAIN = Evaluation()

WORDS = {
    "channels_last": "channels last",
    "first_layer": "first layer",
    "bfloat16": "bfloat16",
    "compiled": "compiled",
}


def parsed(text: str) -> Evaluation:
    """The evaluation of that name.

    >>> parsed("chunks of 64, first layer") == Evaluation(chunk=64, first_layer=True)
    True
    """
    found: dict[str, int | bool] = {}
    flags = {word: field for field, word in WORDS.items()}
    for word in (w.strip() for w in text.split(",")):
        chunk = _CHUNK.fullmatch(word)
        if chunk and int(chunk[1]) > 0:
            found["chunk"] = int(chunk[1])
        elif re.fullmatch(r"[1-9]\d* threads", word):
            found["threads"] = int(word.split()[0])
        elif word in flags:
            found[flags[word]] = True
        elif word != "plain" or len(text.split(",")) > 1:
            raise InvalidArgument(
                f'evaluation must be "auto", "plain", or some of \'chunks of N\', '
                f"{', '.join(map(repr, WORDS.values()))}, 'N threads', with commas; got {text!r}.",
                fix='use "auto" to have the candidates timed, or the name a result recorded.',
                code="E-G12",
            )
    return Evaluation(**found)  # type: ignore[arg-type]


FIELDS = tuple(f.name for f in fields(Evaluation))
