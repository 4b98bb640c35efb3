"""A finished model folder on the Hub: what is uploaded, and what is not."""

from pathlib import Path

from distilhubert_ko import model_folder
from distilhubert_ko.errors import InputError, ModelError, UnavailableError, reason
from distilhubert_ko.files.hub_client import hub_or_cache

NEEDED = (model_folder.CARD, model_folder.CONFIG, model_folder.VOCABULARY)
FILES = (
    *NEEDED,
    model_folder.WEIGHTS_INDEX,
    model_folder.PREPROCESSOR,
    model_folder.PROCESSOR,
    model_folder.ADDED_TOKENS,
    model_folder.TOKENIZER,
    model_folder.SPECIAL_TOKENS,
    model_folder.GRAPH,
    model_folder.RECIPE,
    model_folder.DATA,
    model_folder.TRAINING,
    model_folder.LOG,
    model_folder.REPORT,
    model_folder.LEARNING_CURVE,
)
"""Uploaded as far as they are there. Predictions are not, since they have the corpus's transcripts in them."""


def published_files(folder: Path) -> list[str]:
    """Return the files of a model folder that are uploaded, as paths in it.

    Checkpoints hold pickles, and other weights are no part of the model. Raises ModelError for a folder that is not
    finished.
    """
    stored = model_folder.weights(folder)
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing or not stored:
        raise ModelError(
            f"{folder}: no {missing[0] if missing else model_folder.WEIGHTS} here: give a folder that "
            "`distilhubert-ko train` finished, or write the card with `distilhubert-ko card`"
        )
    speech = folder / model_folder.LANGUAGE_MODEL
    kept = [*stored, *(folder / name for name in FILES), *speech.glob("*")]
    return sorted(path.relative_to(folder).as_posix() for path in kept if path.is_file())


def publish_model(folder: Path, name: str, *, private: bool = False) -> str:
    """Upload a model folder as `name`, OWNER/NAME, in one commit, and return its address.

    A repository that is not there is created. Raises ModelError for a folder that is not finished, InputError where the
    Hub refuses, and UnavailableError where it cannot be reached.
    """
    import huggingface_hub
    from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is of httpx, or of httpx2
        HfHubHTTPError,
        HTTPError,
    )

    files = published_files(folder)
    if name.count("/") != 1:
        raise InputError(f"{name} is no id of the Hub: write it as OWNER/NAME")
    try:
        with hub_or_cache(name):
            api = huggingface_hub.HfApi()
            api.create_repo(name, private=private, exist_ok=True)
            done = api.upload_folder(
                repo_id=name, folder_path=folder, allow_patterns=files, commit_message="Upload a trained model"
            )
    except ValueError as error:  # of a name, or of the card's metadata
        raise InputError(f"{folder} cannot be published as {name}: {reason(error)}") from error
    except HfHubHTTPError as error:
        raise InputError(
            f"the Hub refused {name} ({reason(error)}): log in with `hf auth login` or set HF_TOKEN, with a token that "
            "may write there"
        ) from error
    except (HTTPError, OSError) as error:
        raise UnavailableError(
            f"the Hub could not be reached for {name} ({type(error).__name__}): check the network and rerun the same "
            "command; nothing is published by halves"
        ) from error
    return str(done.commit_url).partition("/commit/")[0]
