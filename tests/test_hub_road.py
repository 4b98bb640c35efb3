"""The recipes for a GPU from `plan` to `push`, as they come, against a server that answers as the Hub does.

Only the sizes of a run are changed. The encoders have the real ones' configuration but for their widths, with random
weights: at full width a step takes a CPU seconds.
"""

import itertools
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from tests.support.hub import TOKEN, Hub
from tests.support.parquet import sound, write_shard
from tests.support.speech import WORDS, tones
from tests.support.whisper import save_whisper

DRIVER = """
import shlex, sys
from distilhubert_ko.cli.main import main
for line in sys.stdin:
    sys.argv = ["distilhubert-ko", *shlex.split(line)]
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code or 0
    print("exit code ", code, sep="\\n", flush=True)
"""
CONFIG = {  # of ntu-spml/distilhubert, as Transformers' conversion from S3PRL wrote it
    "activation_dropout": 0.1,
    "apply_spec_augment": False,
    "attention_dropout": 0.1,
    "conv_bias": False,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "feat_extract_activation": "gelu",
    "feat_extract_norm": "group",
    "feat_proj_dropout": 0.0,
    "feat_proj_layer_norm": False,
    "final_dropout": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout": 0.1,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-5,
    "layerdrop": 0.0,
    "num_attention_heads": 12,
    "num_conv_pos_embedding_groups": 16,
    "num_conv_pos_embeddings": 128,
    "num_hidden_layers": 2,
}
NARROW = {"conv_dim": [16] * 7, "hidden_size": 96, "intermediate_size": 192}
SHARDS = {"train": (3, 8), "test": (1, 4)}  # files, and clips in each
PAGE = """---
dataset_info:
  features:
  - name: audio
    dtype:
      audio:
        sampling_rate: 16000
  - name: text
    dtype: string
  splits:
  - name: train
    num_bytes: 1
    num_examples: 24
  - name: test
    num_bytes: 1
    num_examples: 4
---
"""


@pytest.fixture
def the_hub(hub: Hub, tmp_path: Path) -> Hub:
    """Return the Hub with stand-ins for what both recipes ask for."""
    zeroth = hub.repositories["datasets/Bingsu/zeroth-korean"] = tmp_path / "zeroth-korean"
    texts = (" ".join(words) for words in itertools.permutations(WORDS, 2))
    for split, (files, each) in SHARDS.items():
        for number in range(files):
            spoken = [*itertools.islice(texts, each)]
            clips = [sound(tones(text, 100 + 10 * number)) for text in spoken]
            write_shard(
                zeroth / "data" / f"{split}-{number:05d}-of-{files:05d}.parquet", clips, {"text": spoken}, row_group=4
            )
    (zeroth / "README.md").write_text(PAGE, encoding="utf-8")
    encoder = hub.repositories["ntu-spml/distilhubert"] = tmp_path / "distilhubert"
    HubertModel(HubertConfig(**CONFIG, **NARROW)).save_pretrained(encoder)
    Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=False).save_pretrained(encoder)
    hub.repositories["openai/whisper-base"] = save_whisper(tmp_path / "whisper-base")
    return hub


def typed(hub: Hub, folder: Path, lines: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Run commands one after another in one new process, whose Hub is the stand-in: what each said, and its code."""
    own = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(folder / "hf"), "XDG_CACHE_HOME": str(folder / "xdg")}
    own |= {"HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=os.environ | own,
    )
    with process, process.stdin as keyboard, process.stdout as screen:  # type: ignore[union-attr]
        for line in lines:
            print(line, file=keyboard, flush=True)
            said = [*itertools.takewhile(lambda each: not each.startswith("exit code "), screen)]
            yield "".join(said), int(next(screen))


@pytest.mark.parametrize(
    ("recipe", "sizes", "name", "words"),
    [
        (
            "zeroth",
            "training.train_batch_size=4 training.num_epochs=2 training.logging_steps=1",
            "distilhubert-ko-zeroth",
            ["[ntu-spml/distilhubert]", "freeze_feature_encoder: true", "those of the last step, 6."],
        ),
        (
            "whisper",
            "training.train_batch_size=8 training.num_epochs=2 training.logging_steps=1",
            "whisper",
            ["[openai/whisper-base]", "training.ema_decay: 0.999"],
        ),
    ],
)
def test_a_recipe_goes_from_plan_to_push_and_what_was_pushed_is_what_was_trained(
    the_hub: Hub, tmp_path: Path, recipe: str, sizes: str, name: str, words: list[str]
) -> None:
    changes = " ".join(f"--set {shlex.quote(size)}" for size in sizes.split())
    corpus, mine = "hub:Bingsu/zeroth-korean#test", f"somebody/{name}"
    lines = [
        f"plan {recipe} {changes}",
        f"prepare {recipe} {changes}",
        f"train {recipe} {changes}",
        f"evaluate runs/{name} {corpus} --json here.json",
        f"card runs/{name}",
        f"push runs/{name} {mine}",
        f"evaluate {mine} {corpus} --json there.json",
    ]
    for line, (said, code) in zip(lines, typed(the_hub, tmp_path, lines), strict=True):
        print("$ distilhubert-ko", line, said, sep="\n")  # shown with -s
        assert code == 0
        assert "Retrying" not in said
        assert "22,263 training utterances" in said or not line.startswith("plan")
    run = tmp_path / "runs" / name
    pushed = the_hub.repositories[mine]
    sent = {path.relative_to(pushed).as_posix() for path in pushed.rglob("*") if path.is_file()}
    assert {"README.md", "config.json", "model.safetensors", "model.onnx", "vocab.json", "recipe.toml"} <= sent
    assert all((pushed / file).read_bytes() == (run / file).read_bytes() for file in sent)
    left = {path.relative_to(run).parts[0] for path in run.rglob("*") if path.is_file()} - sent
    assert left == {"checkpoints", "runs", "predictions.jsonl", "best" if recipe == "zeroth" else "last"}
    text = (pushed / "README.md").read_text(encoding="utf-8")
    assert all(word in text for word in [f"# {name}\n", "- Bingsu/zeroth-korean\n", *words]), text
    here, there = (json.loads((tmp_path / f"{place}.json").read_text(encoding="utf-8")) for place in ("here", "there"))
    assert (here["utterances"], here["cer"], here["loss"]) == (4, there["cer"], there["loss"])


def test_a_failing_hub_is_one_line_that_names_the_ways_out(the_hub: Hub, tiny_speech: Path, tmp_path: Path) -> None:
    busy = {
        "train zeroth": ["zeroth:PATH#train", "synthetic:demo#train"],
        "push model somebody/model": ["check the network", "rerun the same command"],
    }
    away = {
        "prepare zeroth": ["zeroth:PATH#train", "synthetic:demo#train"],
        "train zeroth --set data.train=MINE --set data.eval=MINE": ["to its folder", '"random"'],
        "evaluate somebody/model MINE": ["distilhubert-ko demo", "name the folder"],
    }
    (tmp_path / "model").mkdir()
    for file in ("README.md", "config.json", "vocab.json", "model.safetensors"):
        (tmp_path / "model" / file).touch()
    ways_out = busy | away
    lines = [line.replace("MINE", f"manifest:{tiny_speech}/train.jsonl --allow-outside") for line in ways_out]
    the_hub.broken = True  # answers 503
    answers = typed(the_hub, tmp_path, lines)
    for asked, (ways, (said, code)) in enumerate(zip(ways_out.values(), answers, strict=True), start=1):
        told = [line for line in said.splitlines() if line.startswith("distilhubert-ko: ")]
        assert code == 1, said
        assert "Retrying" not in said
        assert told == said.splitlines()[-1:]
        assert all(way in told[0] for way in ways), told[0]
        if asked == len(busy):
            assert len(the_hub.requests) < 5 * len(busy)
            the_hub.server.shutdown()
            the_hub.server.server_close()
