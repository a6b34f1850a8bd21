"""GPTCache as it comes, behind a pipe: it needs packages that this project's environment cannot have.

    python -m venv PEER && PEER/bin/pip install gptcache==0.1.44 faiss-cpu sqlalchemy
    python benchmarks/matching.py ... --gptcache PEER

A line of JSON in, `{"text", "vector", "answer"}`, a line out: what it serves for that question, or null,
and then the answer is stored. Everything is as its own defaults have it (SQLite and FAISS, the distance
as its evaluation, a threshold of 0.8 of that), but for the vectors, which are those of all contenders.
It installs what it misses with the first `pip` on the path, so its own `bin` must come first there.
"""

import json
import sys
from tempfile import TemporaryDirectory


def main() -> None:
    """Serve until the input ends."""
    import numpy as np
    from gptcache import Cache
    from gptcache.adapter.api import get, put
    from gptcache.manager import CacheBase, VectorBase, get_data_manager
    from gptcache.processor.pre import get_prompt
    from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation

    cache, vector = Cache(), [np.zeros(0, np.float32)]
    with TemporaryDirectory() as folder:
        for line in sys.stdin:
            asked = json.loads(line)
            vector[0] = np.array(asked["vector"], np.float32)
            if not cache.has_init:
                cache.init(
                    pre_embedding_func=get_prompt,
                    embedding_func=lambda _, **__: vector[0],
                    data_manager=get_data_manager(
                        CacheBase("sqlite", sql_url=f"sqlite:///{folder}/cache.db"),
                        VectorBase("faiss", dimension=len(vector[0]), index_path=f"{folder}/faiss"),
                    ),
                    similarity_evaluation=SearchDistanceEvaluation(),
                )
            found = get(asked["text"], cache_obj=cache)
            if found is None:
                put(asked["text"], asked["answer"], cache_obj=cache)
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
        cache.flush()


if __name__ == "__main__":
    main()
