"""Teaching by a CTC model of the same units: each frame of the student learns the teacher's posteriors.

Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015 (arXiv 1503.02531), frame by frame. Two
CTC models need not emit a unit in the same frame. Then the teacher's spikes draw the student away from its own: Kurata
and Audhkhasi, Guiding CTC Posterior Spike Timings, Interspeech 2019. A student that starts from the teacher's
weights, or from nothing, follows the teacher's timing. See also Hilmes, Rossenbach and Schlüter, 2025 (arXiv
2506.01503) on the blank's part in it.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from distilhubert_ko import model_folder, recipe
from distilhubert_ko.errors import RecipeError
from distilhubert_ko.model.ctc_network import CtcNetwork
from distilhubert_ko.model.loading import load_network, wants_normalised_waves
from distilhubert_ko.model.network import normalise_waves
from distilhubert_ko.model.student import common_frames
from distilhubert_ko.text.tokenizer import Tokenizer

NEVER = -1e4  # the logit of a token that the teacher has no output for


class FrameTeacher:
    """The recipe's teacher, frozen, with the student's vocabulary.

    Raises ModelError and UnavailableError as `load_network` and `model_folder.resolve` do, and RecipeError for a
    teacher that writes other units.
    """

    def __init__(self, config: recipe.Teaching, tokenizer: Tokenizer):
        self.config = config
        folder = model_folder.resolve(config.teacher)
        theirs = Tokenizer.load(folder)
        self.normalises = wants_normalised_waves(folder)
        self.network = load_network(folder).requires_grad_(False)
        self.tokens = len(theirs)
        self.columns = torch.tensor(teacher_columns(config.teacher, theirs, tokenizer))

    def to(self, device: Any) -> None:
        self.network = self.network.to(device)
        self.columns = self.columns.to(device)

    def logits(self, waves: Tensor, lengths: Tensor) -> Tensor:
        """Return the teacher's logits (batch, frames, student's vocabulary) for waves (batch, samples)."""
        with torch.no_grad():
            waves = normalise_waves(waves, lengths) if self.normalises else waves
            logits = self.network(waves, lengths).logits
            idle = self.tokens - logits.shape[2]  # special tokens at the end of a vocabulary may have no output
            return functional.pad(logits.float(), (0, idle), value=NEVER)[..., self.columns]

    def mixed(
        self, student: CtcNetwork, ctc: Tensor, logits: Tensor, waves: Tensor, lengths: Tensor, parts: float = 1.0
    ) -> Tensor:
        """Return (1 - weight) x the CTC loss + weight x `posterior_divergence` / `parts`.

        `logits` (batch, frames, vocabulary) and `ctc` are the student's. Frames that only one of the two has teach
        nothing.
        """
        theirs = self.logits(waves, lengths)
        frames = min(logits.shape[1], theirs.shape[1])
        valid = common_frames([student, self.network], frames, lengths)
        taught = posterior_divergence(logits[:, :frames], theirs[:, :frames], valid, self.config.temperature)
        return (1 - self.config.weight) * ctc + self.config.weight * taught / parts


def posterior_divergence(student: Tensor, teacher: Tensor, valid: Tensor, temperature: float) -> Tensor:
    """Return KL(teacher || student) in nats, the mean over the valid frames, times temperature^2.

    Both logits are (batch, frames, vocabulary), divided by the temperature; `valid` is (batch, frames). The factor
    keeps the gradients' size at any temperature (section 2.1 of Hinton, Vinyals and Dean).
    """
    own, given = (functional.log_softmax(logits[valid].float() / temperature, -1) for logits in (student, teacher))
    return temperature**2 * functional.kl_div(own, given, reduction="batchmean", log_target=True)


def teacher_columns(name: str, teacher: Tokenizer, student: Tokenizer) -> list[int]:
    """Return the teacher's id of each of the student's tokens.

    Special tokens are matched by their role, the others by their spelling. Raises RecipeError where one has units that
    the other lacks.
    """
    theirs, ours = _by_role(teacher), _by_role(student)
    alone, lacking = sorted(theirs.keys() - ours.keys()), sorted(ours.keys() - theirs.keys())
    if alone or lacking:
        differences = [
            f"it {verb} {len(tokens)}: {' '.join(tokens[:20])}{' ...' if len(tokens) > 20 else ''}"
            for verb, tokens in (("alone has", alone), ("lacks", lacking))
            if tokens
        ]
        raise RecipeError(
            f"teaching.teacher {name} writes {teacher.units} and this recipe {student.units}, but their vocabularies "
            f"differ ({'; '.join(differences)}): give a teacher with the vocabulary of this recipe's training text"
        )
    return [theirs[token] for token, _ in sorted(ours.items(), key=lambda pair: pair[1])]


def _by_role(tokenizer: Tokenizer) -> dict[str, int]:
    """Return token -> id, with the special tokens under names of their roles, without begin and end of sentence."""
    roles = {tokenizer.delimiter_token: "the space", tokenizer.unknown_token: "the unknown"}
    roles[tokenizer.blank_token] = "the blank"  # last: it may be another's token, too
    left_out = {tokenizer.bos_token, tokenizer.eos_token} - {tokenizer.blank_token}
    return {roles.get(token, token): id_ for id_, token in enumerate(tokenizer.tokens) if token not in left_out}
