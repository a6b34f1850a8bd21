"""The computation of a BERT encoder as an ONNX graph, written out by hand.

One graph serves twice: with a pooled unit vector at its end it is the sentence encoder, whose weights
stay in the user's own `model.safetensors`; with a head that was taught, it is the local judge. An
exporter is not needed, and neither is torch.

    python training/graph.py    # writes langchain_cachemux/read/encoder.onnx (pip install onnx)
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

HEADS, WIDTH, INNER, WORDS, PLACES = 12, 384, 1536, 30522, 512
EPSILON = 1e-12
ROOT = Path(__file__).parents[1]
Weights = dict[str, NDArray[np.generic]]


class Graph:
    """Nodes and weights under way; each operation returns the name of what it gives."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: dict[str, TensorProto] = {}

    def __call__(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add an operation with one output."""
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, *values: float, dtype: type = np.int64, scalar: bool = False) -> str:
        """A constant: whole numbers are shapes and axes."""
        array: NDArray[np.generic] = np.array(values[0] if scalar else values, dtype=dtype)
        name = f"{'_'.join(map(str, values))}_{array.dtype}{'_s' if scalar else ''}"
        self.weights[name] = numpy_helper.from_array(array, name)
        return name

    def weight(self, name: str, array: NDArray[np.generic]) -> str:
        """A weight, kept in the graph."""
        self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name

    def outside(self, name: str, shape: tuple[int, ...]) -> str:
        """A weight that whoever opens the graph brings."""
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="model.safetensors")
        tensor.external_data.add(key="length", value=str(4 * int(np.prod(shape))))
        self.weights[name] = tensor
        return name

    def model(self, inputs: list[str], output: str, shape: list[Any], name: str) -> ModelProto:
        """The whole, of integer inputs of shape (texts, tokens)."""
        entries = [
            helper.make_tensor_value_info(i, TensorProto.INT64, ["texts", "tokens"]) for i in inputs
        ]
        end = helper.make_tensor_value_info("given", TensorProto.FLOAT, shape)
        self.nodes.append(helper.make_node("Identity", [output], ["given"], name="given"))
        graph = helper.make_graph(self.nodes, name, entries, [end], list(self.weights.values()))
        opsets = [helper.make_opsetid("", 17)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=8, producer_name="langchain-cachemux"
        )


def states(
    graph: Graph, weights: Weights | None, *, layers: int, types: str = "", prefix: str = ""
) -> str:
    """The states of all tokens after the last layer, shape (texts, tokens, 384).

    Args:
        graph: What it is added to; its inputs are `input_ids` and `attention_mask`.
        weights: By name; None when they come from outside.
        layers: How many.
        types: The input that says which of two texts a token is of; all are of the first without.
        prefix: Of the weights' names.
    """

    def weight(name: str, *shape: int) -> str:
        if weights is None:
            return graph.outside(prefix + name, shape)
        return graph.weight(name, weights[prefix + name].astype(np.float32))

    def norm(name: str, x: str) -> str:
        scale, bias = weight(f"{name}.weight", WIDTH), weight(f"{name}.bias", WIDTH)
        return graph("LayerNormalization", x, scale, bias, axis=-1, epsilon=EPSILON)

    def linear(name: str, x: str, into: int, out: int) -> str:
        if weights is None:
            matrix = graph("Transpose", weight(f"{name}.weight", out, into), perm=[1, 0])
        else:
            matrix = graph.weight(
                f"{name}.weight", weights[f"{prefix}{name}.weight"].astype(np.float32).T
            )
        return graph("Add", graph("MatMul", x, matrix), weight(f"{name}.bias", out))

    def heads(name: str, x: str, perm: list[int]) -> str:
        split = graph(
            "Reshape", linear(name, x, WIDTH, WIDTH), graph.constant(0, 0, HEADS, WIDTH // HEADS)
        )
        return graph("Transpose", split, perm=perm)

    tokens = graph("Slice", graph("Shape", "input_ids"), graph.constant(1), graph.constant(2))
    places = weight("embeddings.position_embeddings.weight", PLACES, WIDTH)
    places = graph("Slice", places, graph.constant(0), tokens, graph.constant(0))
    kinds = weight("embeddings.token_type_embeddings.weight", 2, WIDTH)
    kinds = (
        graph("Gather", kinds, types)
        if types
        else graph("Slice", kinds, graph.constant(0), graph.constant(1))
    )
    x = graph("Add", _words(graph, weights, prefix), graph("Add", kinds, places))
    x = norm("embeddings.LayerNorm", x)
    hidden = graph("Sub", graph.constant(1.0, dtype=np.float32, scalar=True), _mask(graph))
    hidden = graph("Mul", hidden, graph.constant(-1e9, dtype=np.float32, scalar=True))
    hidden = graph("Unsqueeze", hidden, graph.constant(1, 2))
    for number in range(layers):
        layer = f"encoder.layer.{number}"
        query = heads(f"{layer}.attention.self.query", x, [0, 2, 1, 3])
        key = heads(f"{layer}.attention.self.key", x, [0, 2, 3, 1])
        value = heads(f"{layer}.attention.self.value", x, [0, 2, 1, 3])
        root = graph.constant(float(np.sqrt(WIDTH // HEADS)), dtype=np.float32, scalar=True)
        scores = graph("Add", graph("Div", graph("MatMul", query, key), root), hidden)
        mixed = graph("MatMul", graph("Softmax", scores, axis=-1), value)
        mixed = graph(
            "Reshape", graph("Transpose", mixed, perm=[0, 2, 1, 3]), graph.constant(0, 0, WIDTH)
        )
        mixed = linear(f"{layer}.attention.output.dense", mixed, WIDTH, WIDTH)
        x = norm(f"{layer}.attention.output.LayerNorm", graph("Add", mixed, x))
        wide = _gelu(graph, linear(f"{layer}.intermediate.dense", x, WIDTH, INNER))
        x = norm(
            f"{layer}.output.LayerNorm",
            graph("Add", linear(f"{layer}.output.dense", wide, INNER, WIDTH), x),
        )
    return x


def _words(graph: Graph, weights: Weights | None, prefix: str) -> str:
    """The words' vectors; those in the graph are whole numbers of eight bits, and a scale each."""
    name = "embeddings.word_embeddings.weight"
    if weights is None:
        return graph("Gather", graph.outside(prefix + name, (WORDS, WIDTH)), "input_ids")
    table = weights[prefix + name].astype(np.float32)
    scales = np.maximum(np.abs(table).max(1, keepdims=True), 1e-9) / 127
    whole = graph.weight(name, np.round(table / scales).astype(np.int8))
    taken = graph("Cast", graph("Gather", whole, "input_ids"), to=TensorProto.FLOAT)
    scale = graph.weight(f"{name}.scale", scales.astype(np.float32))
    return graph("Mul", taken, graph("Gather", scale, "input_ids"))


def _mask(graph: Graph) -> str:
    return graph("Cast", "attention_mask", to=TensorProto.FLOAT)


def _gelu(graph: Graph, x: str) -> str:
    half, one, root = (
        graph.constant(v, dtype=np.float32, scalar=True) for v in (0.5, 1.0, float(np.sqrt(2)))
    )
    grown = graph("Add", graph("Erf", graph("Div", x, root)), one)
    return graph("Mul", graph("Mul", x, grown), half)


def mean(graph: Graph, x: str) -> str:
    """The mean state of a text's tokens, shape (texts, 384)."""
    mask = graph("Unsqueeze", _mask(graph), graph.constant(2))
    total = graph("ReduceSum", graph("Mul", x, mask), graph.constant(1), keepdims=0)
    return graph("Div", total, graph("ReduceSum", mask, graph.constant(1), keepdims=0))


def encoder() -> ModelProto:
    """The sentence encoder: the unit vector of the mean, its weights from outside."""
    graph = Graph()
    pooled = mean(graph, states(graph, None, layers=6))
    length = graph("ReduceL2", pooled, axes=[1], keepdims=1)
    least = graph.constant(EPSILON, dtype=np.float32, scalar=True)
    vector = graph("Div", pooled, graph("Max", length, least))
    return graph.model(
        ["input_ids", "attention_mask"], vector, ["texts", WIDTH], "all-MiniLM-L6-v2"
    )


def judge(weights: Weights) -> ModelProto:
    """The local judge: a logit from the first token's state and the mean."""
    graph = Graph()
    layers = len({name.split(".")[3] for name in weights if name.startswith("bert.encoder.layer.")})
    x = states(graph, weights, layers=layers, types="token_type_ids", prefix="bert.")
    first = graph("Gather", x, graph.constant(0, scalar=True), axis=1)
    both = graph("Concat", first, mean(graph, x), axis=1)
    head = graph.weight("head.weight", weights["head.weight"].astype(np.float32).T)
    logit = graph(
        "Add",
        graph("MatMul", both, head),
        graph.weight("head.bias", weights["head.bias"].astype(np.float32)),
    )
    logit = graph("Squeeze", logit, graph.constant(1))
    return graph.model(
        ["input_ids", "attention_mask", "token_type_ids"], logit, ["texts"], "local judge"
    )


def main() -> None:
    """Write the sentence encoder's graph."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "langchain_cachemux/read/encoder.onnx")
    parser.parse_args().out.write_bytes(encoder().SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
