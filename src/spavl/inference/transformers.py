"""A model run in this process with transformers, on CPU or GPU: the embedded default.

Safetensors only and no code of the model's own, where the profile names neither; no network for a folder. Images go through the Pillow processors on every machine,
because torchvision's give other pixels.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from spavl.errors import UserError
from spavl.inference.batches import batches, noise_seed
from spavl.inference.files import (
    NOTHING,
    allowed_by,
    code_arguments,
    code_explained,
    hub_folder,
    weights_arguments,
)
from spavl.inference.processor import pil_processor
from spavl.inference.prompts import Prompt, Unusable, encode, make_prompt
from spavl.inference.request import Answer, Request, Sampling
from spavl.inference.revision import FILES_PREFIX, folder_of, folder_revision

if TYPE_CHECKING:
    from spavl.config import TransformersModel


class TransformersBackend:
    """A model and its processor, loaded on entering the context and dropped on leaving it."""

    def __init__(self, spec: TransformersModel, revision: str) -> None:
        self.name = spec.name
        self.revision = revision
        self._spec = spec
        self._folder = folder_of(spec)
        self._model: Any = None
        self._processor: Any = None

    def __enter__(self) -> TransformersBackend:
        self._check_folder()
        self._device = _device(self._spec)
        self._processor, self._model = self._load()
        if not self._processor.chat_template:
            raise UserError(
                f"model {self.name!r}: {self._spec.path} has no chat template.",
                next_step="Save the processor with one: questions are asked as chat messages.",
            )
        return self

    def __exit__(self, *exc_info: object) -> None:
        import torch

        self._model = self._processor = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def answer(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """One Answer per Request, a batch at a time; text is without special tokens and outer white space.

        Pulls one chunk of requests at a time. The same chunk gives the same answers, whatever was asked before it.
        """
        assert self._model is not None, "enter the model's context first"
        for batch in batches(requests, self._spec.batch_size):
            yield from self._answer_batch(batch)

    def _answer_batch(self, batch: Sequence[Request]) -> Iterator[Answer]:
        prompts: list[Prompt] = []
        reasons: dict[str, str] = {}
        for request in batch:
            try:
                prompts.append(make_prompt(self._processor, request))
            except Unusable as error:
                reasons[request.id] = str(error)
        usable, tensors, refused = encode(self._processor, prompts, self._max_positions())
        for request_id, reason in (reasons | refused).items():
            yield Answer(request_id, None, "error", error=reason)
        if usable:
            yield from self._generate(usable, tensors, noise_seed(batch))

    def _generate(self, prompts: Sequence[Prompt], tensors: Any, seed: int) -> list[Answer]:
        import torch

        tensors = tensors.to(
            device=self._device, dtype=self._model.dtype
        )  # the dtype reaches floats only: pixels
        config = self._generation_config(prompts[0].request.sampling)
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            sequences = self._model.generate(**tensors, generation_config=config)
        num_prompt_tokens = tensors["attention_mask"].sum(dim=1).tolist()
        rows = sequences[:, tensors["input_ids"].shape[1] :].tolist()
        return [
            self._answer(prompt.request, row, num)
            for prompt, row, num in zip(prompts, rows, num_prompt_tokens, strict=True)
        ]

    def _answer(self, request: Request, row: list[int], num_prompt_tokens: int) -> Answer:
        """The Answer in one row of generated tokens; the end token is counted, padding after it is not."""
        ends = _end_tokens(self._model.generation_config)
        num_tokens = next((place + 1 for place, token in enumerate(row) if token in ends), len(row))
        is_stopped = bool(row) and row[num_tokens - 1] in ends
        return Answer(
            request.id,
            self._processor.tokenizer.decode(row[:num_tokens], skip_special_tokens=True).strip(),
            "ok",
            finish_reason="stop" if is_stopped else "length",
            prompt_tokens=num_prompt_tokens,
            completion_tokens=num_tokens,
        )

    def _generation_config(self, sampling: Sampling) -> Any:
        """The model's own generation config with our sampling; without a top_k of its own it gets none, not 50."""
        config = copy.deepcopy(self._model.generation_config)
        is_sampled = sampling.temperature > 0
        config.do_sample = is_sampled
        config.temperature = sampling.temperature if is_sampled else None
        config.top_p = sampling.top_p if is_sampled else None
        config.top_k = (config.top_k or 0) if is_sampled else None
        config.max_length = None
        config.max_new_tokens = sampling.max_tokens
        if config.pad_token_id is None:
            config.pad_token_id = min(_end_tokens(config), default=0)
        return config

    def _max_positions(self) -> int | None:
        return getattr(self._model.config.get_text_config(), "max_position_embeddings", None)

    def _check_folder(self) -> None:
        """Raise UserError where the folder is not the one the plan saw: its rows would carry a wrong revision."""
        if self._folder is None or not self.revision.startswith(FILES_PREFIX):
            return
        found = folder_revision(self._folder, self.name, allowed_by(self._spec))
        if found != self.revision:
            raise UserError(
                f"model {self.name!r}: {self._folder} is now {found}; the plan says {self.revision}.",
                next_step="Plan a new run, or put the former files back.",
            )

    def _load(self) -> tuple[Any, Any]:
        from pickle import UnpicklingError  # what torch's loader for weights alone raises

        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForImageTextToText
        from transformers.utils import logging

        logging.disable_progress_bar()
        allowed, folder = allowed_by(self._spec), self._folder
        if folder is None and allowed != NOTHING:
            folder = hub_folder(self._spec, self.revision)  # where it can be seen that nothing else is in it
        source = str(folder or self._spec.path)
        common: dict[str, Any] = code_arguments(allowed)
        common |= {"local_files_only": True} if folder else {"revision": self.revision}
        weights = {
            **weights_arguments(folder, allowed),
            "dtype": getattr(torch, self._spec.dtype),
            "output_loading_info": True,
        }
        try:
            with code_explained(f"model {self.name!r}"):
                processor = pil_processor(source, **common)
                model, report = AutoModelForImageTextToText.from_pretrained(source, **weights, **common)
        except (OSError, ValueError, RuntimeError, SafetensorError, UnpicklingError) as error:
            first_line = str(error).strip().partition("\n")[0][:300]
            raise UserError(f"model {self.name!r}: {source} cannot be loaded: {first_line}") from error
        self._refuse_missing(report["missing_keys"])
        return processor, model.to(self._device).eval()

    def _refuse_missing(self, names: Iterable[str]) -> None:
        """Raise UserError for weights that no file holds: transformers would draw them at random and only warn."""
        missing = sorted(names)
        if missing:
            raise UserError(
                f"model {self.name!r}: {self._spec.path} lacks weights ({len(missing)}, the first is {missing[0]!r}).",
                next_step="Save the whole model with save_pretrained; an adapter alone is no model.",
            )


def _device(spec: TransformersModel) -> Any:
    import torch

    if spec.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(spec.device)
    except RuntimeError as error:
        raise UserError(
            f"model {spec.name!r}: {spec.device!r} is no device.", next_step="auto, cpu, cuda or cuda:N."
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(
            f"model {spec.name!r}: there is no CUDA device here.", next_step="Set `device` to auto or cpu."
        )
    return device


def _end_tokens(generation_config: Any) -> set[int]:
    ends = generation_config.eos_token_id
    if ends is None:
        return set()
    return {ends} if isinstance(ends, int) else set(ends)
