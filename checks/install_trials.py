"""What an installation must do: commands on a tiny model, with the package that each needs and the extra it is in."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import soundfile

from checks.environments import Environment, told
from checks.kills import small, speech
from distilhubert_ko import recipe
from distilhubert_ko.audio.frames import SAMPLE_RATE
from distilhubert_ko.cli.main import COMMANDS
from distilhubert_ko.export import exporting
from distilhubert_ko.model.saving import save_network
from distilhubert_ko.recognition.transcriber import Transcriber
from distilhubert_ko.version import __version__
from tests.support.media import encoded
from tests.support.model import SYLLABLES, clip, new_network

SLOWEST_IMPORT = 0.15  # seconds for `import distilhubert_ko`
SERVE = """
import json, re, subprocess, sys, urllib.request
server = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE, text=True)
for line in server.stderr:
    print(line)
    if found := re.search("http://127.0.0.1:[0-9]+", line):
        print("health", urllib.request.urlopen(found[0] + "/healthz", timeout=60).status)
        break
server.terminate()
server.communicate(timeout=60)
"""
"""Starts the command that it is given, asks it how it is, and stops it."""


@dataclass(frozen=True)
class Trial:
    """A command of this program. It must succeed and say `says` where the module `needs` is, or else name `extra`, if
    there is one.

    `succeeds` is False for what would take minutes, or the Hub: then only the hint is tried.
    """

    arguments: tuple[str, ...]
    says: str = ""
    needs: str = ""
    extra: str = ""
    succeeds: bool = True

    def fault(self, environment: Environment, folder: Path) -> str:
        """Return what is wrong with how the command ends in an environment, or nothing."""
        if self.needs and not environment.has(self.needs):
            return self._missing_fault(environment, folder) if self.extra else ""
        if not self.succeeds:
            return ""
        command = ["distilhubert-ko", *self.arguments]
        if self.arguments[0] == "serve":
            command = ["python", "-c", SERVE, str(environment.bin / command[0]), *self.arguments]
        result = environment.run(*command, cwd=folder)
        good = result.returncode == 0 and self.says in result.stdout + result.stderr
        return "" if good and "Traceback" not in result.stderr else f"{' '.join(self.arguments)}: {told(result)}"

    def _missing_fault(self, environment: Environment, folder: Path) -> str:
        result = environment.run("distilhubert-ko", *self.arguments, cwd=folder)
        hint = f'pip install "distilhubert-ko[{self.extra}]"'
        one_line = result.stderr.startswith("distilhubert-ko: ") and result.stderr.count("\n") == 1
        good = result.returncode in (1, 2) and one_line and hint in result.stderr
        return "" if good else f"{' '.join(self.arguments)}: without {self.needs} no hint: {told(result)}"


def make_materials(folder: Path) -> None:
    """Write what the trials read: models, recordings, manifests, texts, a recipe and a trained model's records."""
    folder.mkdir(parents=True)
    network = new_network()
    for name in ("bare", "model"):
        save_network(network, folder / name, SYLLABLES)
    exporting.export_graph(folder / "model")
    wave = clip(2 * SAMPLE_RATE)
    (folder / "calls").mkdir()
    for path in (folder / "speech.wav", folder / "calls" / "speech.wav"):
        soundfile.write(path, wave, SAMPLE_RATE)
    (folder / "speech.m4a").write_bytes(encoded(wave, SAMPLE_RATE, "mp4", "aac"))
    speech(folder)
    config = small(folder)
    shorter = dataclasses.replace(config.training, num_epochs=1)
    recipe.save_recipe(dataclasses.replace(config, training=shorter), folder / "recipe.toml")
    (folder / "text.txt").write_text("나무 바다\n", encoding="utf-8")
    (folder / "sentences.txt").write_text("나무가 자란다\n바다가 넓다\n" * 20, encoding="utf-8")


def trials(folder: Path) -> list[Trial]:
    """Return the trials on what make_materials wrote, in the order in which they must run."""
    said = Transcriber(folder / "model", threads=1)(folder / "speech.wav").text
    assert len(said) > 5
    model, manifest = ("--model", "model"), "manifest:dev.jsonl"
    hub = ("--set", "data.train=hub:nobody/nothing#train")
    return [
        Trial(("transcribe", "speech.wav", *model), said),
        Trial(("transcribe", "speech.wav", *model, "--vad-filter", "-f", "all", "-o", "text")),
        Trial(("align", "speech.wav", "text.txt", *model, "-f", "textgrid")),
        Trial(("evaluate", "model", manifest, "--json", "report.json", "--html", "report.html"), "CER"),
        Trial(("label", "model", manifest, "--out", "labels.jsonl"), "labels.jsonl: "),
        Trial(("lm", "sentences.txt", "--out", "lm.arpa"), "lm.arpa"),
        Trial(("plan", "zeroth"), "22,263 training utterances"),
        Trial(("prepare", "recipe.toml", "--out", "prepared"), "vocabulary: "),
        Trial(("transcribe", "speech.wav", "--model", "bare"), said, "torch", "train"),
        Trial(("export", "bare", "--out", "exported"), "exported", "torch", "train"),
        Trial(("train", "recipe.toml", "--out", "trained"), "CER", "torch", "train"),
        Trial(("card", "trained"), "README.md", "torch"),
        Trial(("distill", "distill", "--out", "student"), needs="torch", extra="train", succeeds=False),
        Trial(("demo", "--out", "demo"), needs="torch", extra="train", succeeds=False),
        Trial(("evaluate", "model", "synthetic:demo#test"), needs="espeakng_loader", extra="train", succeeds=False),
        Trial(("prepare", "recipe.toml", *hub), needs="datasets", extra="train", succeeds=False),
        Trial(("transcribe", "speech.m4a", *model), "", "av", "media"),
        Trial(("transcribe", "speech.wav", *model, "--lm", "lm.arpa"), needs="kenlm", extra="lm"),
        Trial(("tune", "model", manifest, "--lm", "lm.arpa"), "best: ", "kenlm", "lm"),
        Trial(("serve", *model, "--port", "0"), "health 200", "fastapi", "serve"),
        Trial(("bulk", "calls", "--out", "records", *model), "1 records", "ray", "bulk"),
        Trial(("label", "whisper:tiny", manifest, "--out", "more.jsonl"), "", "faster_whisper", "whisper", False),
    ]


def faults(environment: Environment, folder: Path) -> list[str]:
    """Return what is wrong with an environment: nothing, if it does all that it must."""
    found = [trial.fault(environment, folder) for trial in trials(folder)]
    seconds = environment.import_seconds()
    late = [f"import distilhubert_ko takes {seconds} s"] if seconds > SLOWEST_IMPORT else []
    return [*help_faults(environment, folder), *filter(None, found), *late]


def help_faults(environment: Environment, folder: Path) -> list[str]:
    """Return what is wrong with the version and with the help of every command."""
    found = []
    for arguments in (["--version"], ["--help"], *([name, "--help"] for name in COMMANDS)):
        result = environment.run("distilhubert-ko", *arguments, cwd=folder)
        expected = f"distilhubert-ko {__version__}" if arguments == ["--version"] else "Usage:"
        if result.returncode or expected not in result.stdout or result.stderr:
            found.append(f"{' '.join(arguments)}: {told(result)}")
    return found
