"""Results are written as they are read, and the committed ones say what made them."""

import pytest
import results

FILES = sorted(results.FOLDER.glob("*.json"))


def test_what_is_written_is_read_again_a_list_of_numbers_on_one_line(tmp_path):
    result = {
        "α": [1, -2.5, 1e-07, 3e20],
        "rows": [{"cost": [0.1]}, {"cost": []}],
        "words": ["[ 1,  2 ]", "b"],
        "none": None,
    }
    path = tmp_path / "new" / "one.json"
    results.write(path, result)
    assert results.read(path) == result
    assert '"α": [1, -2.5, 1e-07, 3e+20],' in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_committed_result_says_what_made_it(path):
    made = results.read(path)
    assert made["command"].partition("python ")[2] or made["command"].startswith("cachemux ")
    assert made["versions"]["langchain-cachemux"]
    assert "cores" in made["machine"]
    assert made["date"].startswith("20")
