"""Recipes: frozen dataclasses read from a short TOML file, one for each section, which checks its own values.

An unknown key or a value of the wrong type is an error that names the nearest known key or the type.
"""

import dataclasses
import math
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tomli_w

from distilhubert_ko.audio.frames import KERNELS
from distilhubert_ko.errors import RecipeError
from distilhubert_ko.files.reading import check_ordinary
from distilhubert_ko.files.toml_tables import dataclass_from_table, set_key
from distilhubert_ko.files.writing import write_text

Corpora = str | tuple[str, ...]
"""One corpus, or several that are read as one."""
Scheduler = Literal["constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "tri_stage"]


@dataclass(frozen=True)
class Data:
    """Where speech and text come from. A corpus is written `scheme:location#split`; a list of them is read as one."""

    train: Corpora = "hub:Bingsu/zeroth-korean#train"
    eval: Corpora = "hub:Bingsu/zeroth-korean#test"
    """Scored during training; the best checkpoint is the one with the lowest CER here, as training.report says."""
    test: Corpora = ""
    """Scored once, after training, for the report and the card; empty: the eval corpus."""
    root: str = "."
    """Relative locations of corpora are read against this folder."""
    heldout: str = ""
    """Speaker-wise split for corpora without one, such as "every 8th speaker": speakers 8, 16, ... in sorted
    order are #test, the one after each is #dev, the rest #train."""
    streaming: bool = False
    """Leave the audio of corpora on the Hub there, if they are parquet, and fetch it by row groups when it is needed.
    That takes little room on the disk, and the first step starts at once. Name the revision, hub:NAME@REVISION#SPLIT.
    The cache does not serve them."""
    allow_outside: bool = False
    """Whether manifests, metadata of audio folders and Kaldi's wav.scp may name files outside their own folder, or
    outside `root` where that holds it. If somebody else wrote them, only allow those that you trust."""
    min_seconds: float = 0.0
    max_seconds: float = 30.0
    cache: str = ""
    """A folder, best on a local disk, that keeps decoded audio, 0.12 or 0.23 GB per hour, and lengths of files from one
    epoch and one run to the next. Any number of recipes and processes may share it. Empty: decode again."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_seconds < self.max_seconds:
            raise RecipeError(
                f"data.min_seconds {self.min_seconds} and data.max_seconds {self.max_seconds} leave nothing: make the "
                "second larger"
            )
        if () in (self.train, self.eval):
            raise RecipeError("data.train or data.eval is an empty list: write scheme:location#split in it")
        if self.streaming and not isinstance(self.train, str):
            raise RecipeError(
                f"data.streaming fetches one corpus, and data.train names {len(self.train)}: name one, or set "
                "data.streaming = false"
            )


@dataclass(frozen=True)
class Text:
    """How transcripts become labels, by the rules in docs/text.md."""

    units: Literal["syllables", "jamo"] = "syllables"
    foreign: Literal["drop", "spell"] = "drop"
    """Utterances with digits or Latin letters: drop them (and count them), or spell them in Korean."""


@dataclass(frozen=True)
class Model:
    """The encoder. Names and defaults are those of HubertConfig for ntu-spml/distilhubert."""

    pretrained: str = "ntu-spml/distilhubert"
    """A Hub id, a local folder, or "random" for random weights of the architecture below. With a Hub id or a
    folder the architecture is the one found there, DistilHuBERT's or that of Whisper's encoder; the dropouts below
    apply in all cases."""
    encoder_layers: int = 0
    """Keep this many of the first layers of a pretrained Whisper; 0: all."""
    conv_dim: tuple[int, ...] = (512,) * 7
    """Channels of each of the seven convolutions; the first ones, where narrow, save most of the time."""
    hidden_size: int = 768
    num_hidden_layers: int = 2
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.1
    feat_proj_dropout: float = 0.0
    final_dropout: float = 0.0
    freeze_feature_encoder: bool = False
    """Keep the convolutions, HuBERT's seven or Whisper's two, as they were loaded."""
    mask_time_prob: float = 0.0
    """SpecAugment (Park et al. 2019) on the encoder's input, as wav2vec 2.0 (Baevski et al. 2020, section 4.3) does
    it: the share of a clip's frames of 20 ms that is replaced by a trained embedding, in spans of mask_time_length.
    With Whisper, frames of 10 ms of the log-mel are set to 0, and the features that are masked below are mels."""
    mask_time_length: int = 10
    mask_feature_prob: float = 0.0
    """The share of features that is zeroed throughout a clip, in spans of mask_feature_length."""
    mask_feature_length: int = 10

    def __post_init__(self) -> None:
        counts = "hidden_size num_attention_heads num_conv_pos_embedding_groups mask_time_length mask_feature_length"
        _require_one_or_more("model", self, counts)
        _require_shares("model", self, "mask_time_prob mask_feature_prob")
        if self.encoder_layers < 0:
            raise RecipeError(f"model.encoder_layers is {self.encoder_layers}: give 1 or more, or 0 for all")
        if len(self.conv_dim) != len(KERNELS) or min(self.conv_dim) < 1:
            raise RecipeError(f"model.conv_dim is {list(self.conv_dim)}: give {len(KERNELS)} widths of 1 or more")
        if self.hidden_size % self.num_attention_heads:
            raise RecipeError(
                f"model.hidden_size {self.hidden_size} cannot be shared among {self.num_attention_heads} heads: make "
                "it a multiple of model.num_attention_heads"
            )
        if self.hidden_size % self.num_conv_pos_embedding_groups:
            raise RecipeError(
                f"model.hidden_size {self.hidden_size} is no multiple of model.num_conv_pos_embedding_groups "
                f"{self.num_conv_pos_embedding_groups}: change one of them"
            )


@dataclass(frozen=True)
class Augment:
    """What happens to training clips, drawn again in each epoch. Evaluation uses the clips as they are."""

    speeds: tuple[float, ...] = (1.0,)
    """Each clip is played at one of these speeds, which also shifts its pitch; (0.9, 1.0, 1.1) in Ko et al.,
    Interspeech 2015."""
    reverb_prob: float = 0.0
    """Share of clips that get reverberation (noise that decays exponentially, as loud as the direct sound)."""
    reverb_seconds: tuple[float, float] = (0.1, 0.6)
    """Range of the time in which the room's echo falls by 60 dB."""
    noise_prob: float = 0.0
    """Share of clips that get noise, of a colour between white and brown."""
    noise_snr_db: tuple[float, float] = (5.0, 30.0)
    """Range of the signal-to-noise ratio."""
    join_prob: float = 0.0
    """Share of clips that others follow after a pause, whole, up to a length drawn below data.max_seconds: for corpora
    of short clips, since a network that heard no long ones makes more errors in them."""
    nonspeech_prob: float = 0.0
    """Share of clips that get silence or noise: two thirds before and after them, and a third in their place, with
    nothing to write. So a model learns to write nothing where nobody speaks."""
    nonspeech_after_epochs: int = 0
    """Epochs without that before it begins. A network from random weights that cannot write yet would learn from
    silence that the blank is always right."""
    splice_prob: float = 0.0
    """Share of clips that continue, after a space between two words, as another clip of the same speaker, so that
    sentences are not learnt by heart (Lam et al., Interspeech 2021)."""
    splice_model: str = ""
    """A model folder or a Hub id, fine-tuned with CTC and exported, that finds the spaces; an earlier run's is fine."""

    def __post_init__(self) -> None:
        _require_shares("augment", self, "reverb_prob noise_prob join_prob nonspeech_prob splice_prob")
        if not self.speeds or not 0.5 <= min(self.speeds) <= max(self.speeds) <= 2:
            raise RecipeError(f"augment.speeds is {list(self.speeds)}: give one or more between 0.5 and 2")
        for key in ("reverb_seconds", "noise_snr_db"):
            low, high = getattr(self, key)
            if not low <= high or (key == "reverb_seconds" and low <= 0):
                raise RecipeError(f"augment.{key} is {[low, high]}: give the lower end first, and seconds above 0")
        if self.nonspeech_after_epochs < 0:
            raise RecipeError(f"augment.nonspeech_after_epochs is {self.nonspeech_after_epochs}: give 0 or more")
        if self.splice_prob and not self.splice_model:
            raise RecipeError(
                "augment.splice_prob needs augment.splice_model: name a model folder that finds the spaces"
            )


@dataclass(frozen=True)
class Training:
    """Hyperparameters under the names that a Transformers model card gives them."""

    learning_rate: float = 1e-3
    train_batch_size: int = 16
    eval_batch_size: int = 8
    gradient_accumulation_steps: int = 2
    seed: int = 42
    adam_betas: tuple[float, float] = (0.9, 0.999)
    adam_epsilon: float = 1e-8
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    lr_scheduler_type: Scheduler = "cosine_with_restarts"
    """Transformers' names, and "tri_stage", with which wav2vec 2.0 is fine-tuned: see schedule.learning_rate."""
    lr_scheduler_warmup_steps: int = 500
    num_epochs: int = 10
    head_learning_rate: float = 0.0
    """Learning rate of the CTC head, which is new where the encoder is pretrained; 0: learning_rate."""
    head_only_steps: int = 0
    """For these first steps train the head alone, so that its random weights do not spoil a pretrained encoder; 10,000
    in Baevski et al., "wav2vec 2.0", 2020, section 4.3."""
    ema_decay: float = 0.0
    """Evaluate and keep an exponential moving average of the weights (Polyak and Juditsky 1992; 0.999 in Tarvainen and
    Valpola, "Mean teachers", 2017) instead of the last ones; 0: none."""
    consistency_weight: float = 0.0
    """Weight of CR-CTC (Yao et al., ICLR 2025, arXiv 2410.05101): each clip is seen in two views with their own masks
    and dropout, and their posteriors have to agree. A step costs twice as much. 0.2 in the paper; 0: none."""
    early_stopping_patience: int = 0
    """Stop after this many evaluations in a row without a lower CER; 0: never."""
    mixed_precision: bool = True
    """bf16 where the GPU or the CPU computes in it, else fp16 on CUDA, else float32."""
    eval_steps: int = 400
    logging_steps: int = 500
    length_buckets: bool = False
    """Batches of utterances of similar length: far less padding, a little less shuffling."""
    report: Literal["best", "last"] = "best"
    """Which weights become the model, and are measured for its report: those of the evaluation with the lowest CER, or
    the last ones. The others are beside them, in the folder `last` or `best`."""
    blank_evaluations: int = 2
    """Stop with advice after this many evaluations in a row in which the model outputs nothing."""
    report_to: tuple[Literal["wandb", "mlflow"], ...] = ()
    """Where losses and error rates go beside TensorBoard, as Transformers reports them; each has to be installed."""

    def __post_init__(self) -> None:
        _require_one_or_more(
            "training",
            self,
            "train_batch_size eval_batch_size gradient_accumulation_steps num_epochs eval_steps logging_steps "
            "blank_evaluations",
        )
        if not 0 < self.learning_rate < math.inf:
            raise RecipeError(f"training.learning_rate is {self.learning_rate}: give a number more than 0")
        none_or_more = "lr_scheduler_warmup_steps head_only_steps early_stopping_patience head_learning_rate"
        for key in [*none_or_more.split(), "consistency_weight"]:
            if not 0 <= getattr(self, key) < math.inf:
                raise RecipeError(f"training.{key} is {getattr(self, key)}: give 0 or more")
        if not 0 <= self.ema_decay < 1:
            raise RecipeError(f"training.ema_decay is {self.ema_decay}: give 0, or less than 1, such as 0.999")

    @property
    def total_train_batch_size(self) -> int:
        return self.train_batch_size * self.gradient_accumulation_steps


@dataclass(frozen=True)
class Distill:
    """A student for `distilhubert-ko distill`: [model] without its head, which learns to predict a teacher's layers.

    Chang, Yang and Lee, DistilHuBERT, ICASSP 2022 (arXiv 2110.01900). [data], [model] and [training] are as in
    training; transcripts are not needed.
    """

    teacher: str = ""
    """A HuBERT or wav2vec 2.0 model, with or without a CTC head: a folder or a Hub id."""
    layers: tuple[int, ...] = ()
    """Layers of the teacher to predict, counted from 1; none: three, evenly spaced, the last included. The paper's
    are 4, 8 and 12 of 12."""
    heads: Literal["last", "each"] = "last"
    """Where a target is predicted from: all from the student's last layer, as in the paper, or one from each of its
    layers, in order, as in thin and deep students. Then `layers` has as many as the student."""
    cosine_weight: float = 1.0
    """Weight of the cosine term beside the L1 distance; the paper's lambda."""
    initialise: Literal["teacher", "model"] = "teacher"
    """The student's first weights: the teacher's where the shapes agree, as in the paper, or what model.pretrained
    says."""
    crop_seconds: float = 0.0
    """Longer training clips give a random part of this length, another one in each epoch; 0: whole clips."""

    def __post_init__(self) -> None:
        if any(below >= layer for below, layer in zip((0, *self.layers), self.layers, strict=False)):
            raise RecipeError(
                f"distill.layers is {list(self.layers)}: give layers from 1 on, in rising order, each once"
            )
        if not 0 <= self.cosine_weight < math.inf:
            raise RecipeError(f"distill.cosine_weight is {self.cosine_weight}: give 0 or more")
        if self.crop_seconds and not 1 <= self.crop_seconds < math.inf:
            raise RecipeError(f"distill.crop_seconds is {self.crop_seconds}: give 1 or more, or 0 for whole clips")


@dataclass(frozen=True)
class Teaching:
    """Posteriors of a CTC model mixed into the loss of training: Hinton, Vinyals and Dean (arXiv 1503.02531)."""

    teacher: str = ""
    """A CTC model with the student's units, a folder or a Hub id; empty: none."""
    weight: float = 0.5
    """Weight of the Kullback-Leibler divergence from the teacher, a mean over frames; CTC's loss has the rest of 1."""
    temperature: float = 1.0
    """Divides both models' logits; more than 1 shows more of what the teacher thinks of the other units."""

    def __post_init__(self) -> None:
        if not 0 < self.weight <= 1:
            raise RecipeError(f"teaching.weight is {self.weight}: give more than 0, and 1 at most")
        if not 0 < self.temperature < math.inf:
            raise RecipeError(f"teaching.temperature is {self.temperature}: give a number more than 0")


@dataclass(frozen=True)
class Recipe:
    """All that a run depends on."""

    name: str = "distilhubert-ko"
    license: str = "apache-2.0"
    """Licence of the trained model, as the Hub writes it; consider the data's licence."""
    data: Data = field(default_factory=Data)
    text: Text = field(default_factory=Text)
    model: Model = field(default_factory=Model)
    augment: Augment = field(default_factory=Augment)
    training: Training = field(default_factory=Training)
    distill: Distill = field(default_factory=Distill)
    teaching: Teaching = field(default_factory=Teaching)

    def __post_init__(self) -> None:
        """Check what concerns more than one section; each section has checked itself."""
        for key in ("join_prob", "splice_prob"):
            if self.data.streaming and getattr(self.augment, key):
                raise RecipeError(
                    f"augment.{key} needs clips from everywhere at once, but data.streaming keeps few at hand: set "
                    f"augment.{key} = 0 or data.streaming = false"
                )

    @property
    def test_corpus(self) -> Corpora:
        return self.data.test or self.data.eval

    @property
    def root(self) -> Path:
        return Path(self.data.root)

    @property
    def cache(self) -> Path | None:
        return Path(self.data.cache).expanduser() if self.data.cache else None


def listed_corpora(corpora: Corpora) -> tuple[str, ...]:
    """Return the specs of one corpus or of several."""
    return (corpora,) if isinstance(corpora, str) else corpora


def joined_corpora(corpora: Corpora) -> str:
    """Return one corpus, or several, as a reader is told."""
    return " + ".join(listed_corpora(corpora))


def _require_one_or_more(name: str, section: object, keys: str) -> None:
    for key in keys.split():
        value = getattr(section, key)
        if value < 1:
            raise RecipeError(f"{name}.{key} is {value}: give 1 or more")


def _require_shares(name: str, section: object, keys: str) -> None:
    for key in keys.split():
        value = getattr(section, key)
        if not 0 <= value <= 1:
            raise RecipeError(f"{name}.{key} is {value}: give a share between 0 and 1")


def find_recipe(name: str) -> Path:
    """Return the path of a recipe given as a file, or by the name of one that comes with the package.

    Raises RecipeError where there is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    here = Path(__file__).resolve()
    shelves = [here.parent / "recipes", here.parents[2] / "recipes"]  # in a wheel; in a checkout
    for shelf in shelves:
        if (shelf / f"{name}.toml").is_file():
            return shelf / f"{name}.toml"
    known = sorted({file.stem for shelf in shelves for file in shelf.glob("*.toml")})
    raise RecipeError(f"{name}: no such recipe file; recipes that come with the package: {', '.join(known)}")


def load_recipe(path: Path, changes: typing.Sequence[str] = ()) -> Recipe:
    """Read a recipe; `changes` are `section.key=value` with values in TOML (a bare word is a string).

    Raises RecipeError for a file that is missing or no TOML, an unknown key, or a value of the wrong type.
    """
    try:
        check_ordinary(path)
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such recipe file") from None
    except (OSError, ValueError, RecursionError) as error:  # tomllib lets some of int's and its own stack through
        raise RecipeError(f"{path}: not a readable TOML file: {error}") from error
    table.setdefault("name", path.stem)
    for change in changes:
        set_key(table, change)
    return dataclass_from_table(Recipe, table, str(path))


def save_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe with every key spelled out. Raises InputError where it cannot be written."""
    write_text(path, tomli_w.dumps(dataclasses.asdict(recipe)))
