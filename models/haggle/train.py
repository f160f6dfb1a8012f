"""Trains the haggling model from nothing and exports it: `python models/haggle/train.py OUT`.

Makes everything itself: conversations by the rules of haggling.py, a byte-level BPE tokenizer trained on
them, a small Llama with random weights, 10 to 20 minutes of training on two CPU cores, and a folder made by
onnxruntime-genai's builder. Needs what requirements.txt lists; fetches nothing. The log goes to OUT.
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from haggling import Talk, conversation, held_out, offers, pair
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SEED = 1
VOCAB = 544
SPECIALS = ["<pad>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
BATCH, WARM_STEPS = 32, 100


class Stage(NamedTuple):
    """A part of the training.

    `middle` as in `haggling.say`, `deals` the least share of talks with a deal, `offers` the share of offers
    that are learnt from (what else is said always is).
    """

    steps: int
    learning_rate: float
    middle: float
    deals: float
    offers: float


# First all that is right, as often as it comes up; then what is rare, and prices that leave no doubt.
STAGES = (Stage(2200, 3e-3, 0.0, 0.0, 1.0), Stage(1000, 2e-3, 0.7, 0.8, 0.35))
# So many batches are drawn and sorted by length together, which saves padding.
SORTED_TOGETHER = 16
IGNORED = -100
LOG_EVERY = 50
THREADS = 1
EXPORT = ("int8", ("accuracy_level=4", "block_size=32"))


def make_tokenizer(folder: Path, draw: random.Random) -> transformers.PreTrainedTokenizerFast:
    """Train the tokenizer on conversations, write it with its chat template, and return it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    talks = [conversation(*pair(draw), draw) for _ in range(4000)]
    said = [message for talk in talks for transcript in talk.transcripts for message in transcript]
    tokenizer.train_from_iterator([f"{message['role']}\n{message['content']}\n" for message in said], trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<pad>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=TEMPLATE,
    )
    fast.save_pretrained(folder)
    return fast


def encoded(
    fast: transformers.PreTrainedTokenizerFast, transcript: list[dict[str, str]], learnt: list[bool]
) -> tuple[list[int], list[int]]:
    """Return a transcript's tokens, and the same with everything ignored but the messages to learn from."""
    tokens: list[int] = []
    labels: list[int] = []
    for message, learn in zip(transcript, learnt, strict=True):
        head = fast.encode(f"<|im_start|>{message['role']}\n", add_special_tokens=False)
        body = fast.encode(f"{message['content']}<|im_end|>", add_special_tokens=False)
        tail = fast.encode("\n", add_special_tokens=False)
        tokens += head + body + tail
        own = body if learn else [IGNORED] * len(body)
        labels += [IGNORED] * len(head) + own + [IGNORED] * len(tail)
    return tokens, labels


def batches(
    fast: transformers.PreTrainedTokenizerFast, draw: random.Random, stage: Stage
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield batches of transcripts for ever: tokens and labels, padded where attention does not look."""
    while True:
        rows: list[tuple[list[int], list[int]]] = []
        while len(rows) < BATCH * SORTED_TOGETHER:
            talk = drawn(draw, stage)
            rows += [encoded(fast, one, learnt(one, stage, draw)) for one in talk.transcripts]
        rows = sorted(rows[: BATCH * SORTED_TOGETHER], key=lambda row: len(row[0]))
        groups = [rows[at : at + BATCH] for at in range(0, len(rows), BATCH)]
        draw.shuffle(groups)
        for group in groups:
            width = max(len(tokens) for tokens, _ in group)
            ids = torch.zeros((len(group), width), dtype=torch.long)
            labels = torch.full((len(group), width), IGNORED)
            for row, (tokens, wanted) in enumerate(group):
                ids[row, : len(tokens)] = torch.tensor(tokens)
                labels[row, : len(tokens)] = torch.tensor(wanted)
            yield ids, labels


def learnt(transcript: list[dict[str, str]], stage: Stage, draw: random.Random) -> list[bool]:
    """Return which messages to learn from: the assistant's, and of its offers a share."""
    return [
        message["role"] == "assistant" and (not offers(message["content"]) or draw.random() < stage.offers)
        for message in transcript
    ]


def drawn(draw: random.Random, stage: Stage) -> Talk:
    """Return a conversation between sides that are not held out."""
    deal = draw.random() < stage.deals
    while True:
        sides = pair(draw)
        if not held_out(*sides):
            talk = conversation(*sides, draw, middle=stage.middle)
            if talk.dealt or not deal:
                return talk


def train(
    model: torch.nn.Module,
    fast: transformers.PreTrainedTokenizerFast,
    draw: random.Random,
    stage: Stage,
    log: Callable[..., None],
) -> None:
    """Take the model through a stage."""
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    started, tokens, losses = time.monotonic(), 0, []
    log(**stage._asdict())
    for step, (ids, labels) in zip(range(1, stage.steps + 1), batches(fast, draw, stage), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = stage.learning_rate * rate(step, stage.steps)
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        tokens += int((ids != 0).sum())
        if step % LOG_EVERY == 0:
            minutes = round((time.monotonic() - started) / 60, 2)
            log(step=step, minutes=minutes, tokens=tokens, loss=round(sum(losses) / len(losses), 4))
            losses = []


def rate(step: int, steps: int) -> float:
    """Return the share of the learning rate: up in a line, then down in half a cosine."""
    return min(1.0, step / WARM_STEPS) * (1 + math.cos(math.pi * step / steps)) / 2


def versions() -> dict[str, str]:
    """Return the versions that the result rests on."""
    return {
        name: version(name) for name in ("torch", "transformers", "tokenizers", "onnx", "onnxruntime-genai")
    }


def export(source: Path, target: Path) -> None:
    """Run onnxruntime-genai's builder."""
    precision, options = EXPORT
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    command += ["-i", str(source), "-o", str(target), "-p", precision, "-e", "cpu", "-c", str(source)]
    # Python puts the working directory first in its path; the target has no modules in it.
    subprocess.run([*command, "--extra_options", *options], check=True, capture_output=True, cwd=target)


def main() -> None:
    """Train and export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--stages", type=Path, metavar="FOLDER", help="keep each stage's weights here")
    parser.add_argument(
        "--after", type=int, default=0, metavar="N", help="go on after so many stages kept there"
    )
    options = parser.parse_args()
    out: Path = options.out.resolve()
    out.mkdir(parents=True)
    # More threads than free cores wait for each other; one keeps its pace on a shared machine.
    torch.set_num_threads(THREADS)
    torch.manual_seed(SEED)
    draw = random.Random(SEED)
    with tempfile.TemporaryDirectory() as scratch, (out / "training.jsonl").open("w") as file:

        def log(**line: object) -> None:
            file.write(json.dumps(line) + "\n")
            file.flush()
            print(line, flush=True)

        kept = (options.stages or Path(scratch)).resolve()
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE)).float()
        if options.after:
            fast = transformers.AutoTokenizer.from_pretrained(kept / f"stage-{options.after}")
        else:
            fast = make_tokenizer(Path(scratch) / "tokenizer", draw)
        size = sum(parameter.numel() for parameter in model.parameters())
        log(parameters=size, shape=SHAPE, batch=BATCH, seed=SEED, **versions())
        for number, stage in enumerate(STAGES, 1):
            folder = kept / f"stage-{number}"
            if number <= options.after:
                model = transformers.LlamaForCausalLM.from_pretrained(folder).float()
                continue
            train(model, fast, random.Random(SEED + number), stage, log)
            model.save_pretrained(folder)
            fast.save_pretrained(folder)
        export(kept / f"stage-{len(STAGES)}", out)


if __name__ == "__main__":
    main()
