"""Rules of recurrent layers: the gates of a unit, its state and its weights move together."""

from __future__ import annotations

from theodolite.symmetry.axes import Axis, collapsed, family, product, total, unify
from theodolite.symmetry.propagation import Axes, Call, Trace, Value, fixed, rule

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


@rule(*GATES)
def recurrent(trace: Trace, call: Call) -> list[Axes | Value]:
    """Layers above each other, forward and backward; outputs and last states of each."""
    gates, inputs = GATES[call.name], call.first
    states = _states(call)
    weights: list[Axes] = [value.axes for value in call["params"]]
    ways = 2 if call["bidirectional"] else 1
    count = call["num_layers"] * ways
    each = len(weights) // count
    features, ends = inputs[-1], []
    for layer in range(call["num_layers"]):
        outputs = []
        for way in range(ways):
            place = (layer * ways + way) * each
            hidden, output = _cell(trace, weights[place : place + each], features, gates, call)
            ends.append((output, hidden))
            outputs.append(output)
        features = total(outputs)
    return _results(call, inputs, features, ends, states)


def _states(call: Call) -> list[Value]:
    given = call["hx"]
    return list(given) if isinstance(given, list | tuple) else [given]


def _cell(
    trace: Trace, weights: list[Axes], features: Axis, gates: int, call: Call
) -> tuple[Axis, Axis]:
    """The axis of one direction's units and of what it hands on (they differ if projected)."""
    biased, projected = call["has_biases"], len(weights) in (3, 5)
    hidden = Axis(weights[0][0].size // gates)
    every = product([fixed(gates, "gates of a unit"), hidden])
    for axes in weights[: 4 if biased else 2]:
        unify(axes[0], every)
    output = weights[-1][0] if projected else hidden
    if projected:
        unify(weights[-1][1], hidden)
    unify(weights[0][1], features)
    unify(weights[1][1], output)
    trace.mix([features, output, hidden], [every, output])
    return hidden, output


def _results(
    call: Call, inputs: Axes, features: Axis, ends: list[tuple[Axis, Axis]], states: list[Value]
) -> list[Axes | Value]:
    batch = 0 if call["batch_first"] else 1
    for state in states:
        unify(state.axes[1], inputs[batch])
    made: list[Axes | Value] = [(*inputs[:-1], features)]
    index = fixed(len(ends), "layers of a recurrent net")
    for which, state in enumerate(states):
        kids = [end[which] for end in ends]
        if len(kids) == 1:
            unify(collapsed(state.axes[2]), kids[0])
            made.append((Axis(1), inputs[batch], kids[0]))
            continue
        for kid in () if state.uniform else kids:
            unify(collapsed(state.axes[2]), kid)
        made.append((index, inputs[batch], family(index, kids)))
    return made


@rule("gru_cell", "lstm_cell", "rnn_tanh_cell", "rnn_relu_cell")
def cell(trace: Trace, call: Call) -> list[Axes | Value]:
    """One step of a recurrent layer."""
    inputs = call.axes("input") or ()
    states = _states(call)
    hidden = Axis(states[0].axes[-1].size)
    gates = fixed(GATES[call.name.removesuffix("_cell")], "gates of a unit")
    every = product([gates, hidden])
    w_ih, w_hh = call.axes("w_ih") or (), call.axes("w_hh") or ()
    unify(w_ih[1], inputs[-1])
    unify(w_hh[1], hidden)
    for axes in (w_ih, w_hh, call.axes("b_ih"), call.axes("b_hh")):
        if axes:
            unify(axes[0], every)
    for state in states:
        unify(collapsed(state.axes[-1]), hidden)
    trace.mix([inputs[-1], hidden], [every])
    return [(*inputs[:-1], hidden) for _ in call.shapes]
