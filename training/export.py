"""From taught weights to the judge that is shipped: an ONNX graph in whole numbers of eight bits.

    python training/export.py --encoder DIR --trained DIR --seed 2    # pip install onnx

Writes `judge.onnx` and `tokenizer.json` to `langchain_cachemux/match/weights` and prints the SHA-256
that `match/local.py` verifies. The scores are multiplied by the scale fitted on held-out pairs, so
that their logistic is a probability on pairs like those. Which seed is shipped was decided by those
pairs too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import graph
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load_file

FOLDER = Path(__file__).parents[1] / "langchain_cachemux/match/weights"
WORDS = "embeddings.word_embeddings.weight"


def weights(encoder: Path, trained: Path, seed: int) -> graph.Weights:
    """All weights of a seed: those taught, scaled, and the words' vectors, which were left alone."""
    found: graph.Weights = load_file(trained / f"seed-{seed}.safetensors")
    scale = json.loads((trained / f"seed-{seed}.json").read_text())["scale"]
    for name in ("head.weight", "head.bias"):
        found[name] = found[name].astype("float32") * scale
    return found | {f"bert.{WORDS}": load_file(encoder / "model.safetensors")[WORDS]}


def small(made: graph.Weights, out: Path) -> None:
    """Write the judge, its matrices as whole numbers; unsigned ones, which no processor overflows on."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "judge.onnx"
        whole.write_bytes(graph.judge(made).SerializeToString(deterministic=True))
        quantize_dynamic(
            whole,
            out,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QUInt8,
        )


def main() -> None:
    """Write the judge and its tokenizer."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--encoder", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--trained", type=Path, required=True, help="what train.py wrote")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--out", type=Path, default=FOLDER)
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    small(weights(told.encoder, told.trained, told.seed), told.out / "judge.onnx")
    read = json.loads((told.encoder / "tokenizer.json").read_text("utf-8"))
    text = json.dumps(
        read | {"truncation": None, "padding": None}, ensure_ascii=False, separators=(",", ":")
    )
    (told.out / "tokenizer.json").write_text(text, encoding="utf-8")
    for name in ("judge.onnx", "tokenizer.json"):
        found = (told.out / name).read_bytes()
        print(f"{name}: {len(found) / 1e6:.1f} MB, {hashlib.sha256(found).hexdigest()}")


if __name__ == "__main__":
    main()
