"""Builds the tiny language models of this folder: random weights in the shapes of real families.

Needs torch, transformers, onnx, onnxruntime and onnxruntime-genai (the tests need none of the first three and
not the last): `python tests/data/models/build.py OUT`. Weights come from a fixed seed, so the same versions
give the same files; versions.json records which were used. Each `*-fp32` folder holds what transformers
itself generates greedily from a few prompts (golden.json).
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from eager import break_embedding, export_eager, quantise
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

VOCAB = 384
SPECIALS = ["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.25,
    "bos_token_id": 1,
    "eos_token_id": 4,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
FAMILIES = {
    "llama": (transformers.LlamaConfig, {}),
    "qwen2": (transformers.Qwen2Config, {"use_sliding_window": False}),
    "phi3": (
        transformers.Phi3Config,
        {"num_key_value_heads": 4, "sliding_window": None, "original_max_position_embeddings": 512},
    ),
}
PRECISIONS = {
    "fp32": ("fp32", ()),
    "int8": ("int8", ("accuracy_level=4", "block_size=32")),
    "int4": ("int4", ("accuracy_level=4", "block_size=32")),
}
# Served with padding, or with an even number of rows: see src/tickwork/inference/invariance.py.
LIMITED = {
    "pad": ("int4", ("accuracy_level=0", "block_size=32")),
    "even": ("int4", ("accuracy_level=4", "block_size=128")),
}
# Meant for GPUs; the CPU serves it, too.
HALF = {"fp16": ("fp16", ())}
CONVERSATIONS = [
    [{"role": "user", "content": "hello"}],
    [
        {"role": "system", "content": "You sell apples. Never go below nine coins."},
        {"role": "user", "content": "What do twelve crates cost?"},
        {"role": "assistant", "content": "Ten coins a crate."},
        {"role": "user", "content": "Ünïcödé ☃ 你好: eight?"},
    ],
    [{"role": "user", "content": "the buyer offers a price and the seller answers; " * 9}],
]
GOLDEN_TOKENS = 40
NAN_TOKEN = 350
ROWS = 380


def make_tokenizer(folder: Path) -> None:
    """Write a byte-level BPE tokenizer with a ChatML template."""
    words = "the buyer offers twelve crates of apples for nine coins and the seller answers with a price"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=1,
    )
    tokenizer.train_from_iterator(
        [words, '{"price": 12, "item": "apples", "ok": true}', "ünïcödé ☃ 你好"] * 3, trainer
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="<|im_end|>",
        pad_token="<pad>",
        additional_special_tokens=["<|im_start|>"],
        chat_template=TEMPLATE,
    )
    fast.save_pretrained(folder)


def make_model(family: str) -> torch.nn.Module:
    """Return the family's model with seeded random weights."""
    config, more = FAMILIES[family]
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config(**(SHAPE | more)))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # transformers starts these at zero, and the builder then leaves them out
            torch.nn.init.normal_(parameter, std=0.25)
    return model.float().eval()


def golden(model: torch.nn.Module, source: Path) -> list[dict[str, object]]:
    """Return what transformers makes of each conversation: the prompt's tokens, and greedily the answer's."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    found = []
    for messages in CONVERSATIONS:
        ids = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        out = model.generate(**ids, max_new_tokens=GOLDEN_TOKENS, do_sample=False)
        length = ids["input_ids"].shape[1]
        found.append(
            {
                "messages": messages,
                "prompt": ids["input_ids"][0].tolist(),
                "tokens": out[0, length:].tolist(),
                "text": tokenizer.decode(out[0, length:], skip_special_tokens=True),
            }
        )
    return found


def run_builder(source: Path, target: Path, precision: str, options: tuple[str, ...]) -> None:
    """Run onnxruntime-genai's model builder; it makes 16-bit floats for GPUs only."""
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder"]
    command += ["-i", str(source), "-o", str(target), "-p", precision, "-c", str(source)]
    command += ["-e", "cuda" if precision == "fp16" else "cpu"]
    if options:
        command += ["--extra_options", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main(out: Path) -> None:
    """Build every folder under `out`."""
    with tempfile.TemporaryDirectory() as scratch:
        for family in FAMILIES:
            source = Path(scratch) / family
            model = make_model(family)
            model.save_pretrained(source)
            make_tokenizer(source)
            wanted = PRECISIONS | LIMITED | HALF if family == "llama" else PRECISIONS
            for name, (precision, options) in wanted.items():
                target = out / f"{family}-{name}"
                shutil.rmtree(target, ignore_errors=True)
                run_builder(source, target, precision, options)
                if name == "fp32":
                    (target / "golden.json").write_text(json.dumps(golden(model, source)))
            if family == "llama":
                eager = out / "llama-eager"
                shutil.rmtree(eager, ignore_errors=True)
                (eager / "onnx").mkdir(parents=True)
                for kept in source.iterdir():
                    if kept.suffix == ".json" or kept.suffix == ".jinja":
                        shutil.copy(kept, eager / kept.name)
                export_eager(model, eager / "onnx" / "model.onnx")
                quantise(eager / "onnx" / "model.onnx", eager / "onnx" / "model_quantized.onnx")
                (eager / "golden.json").write_text(json.dumps(golden(model, source)))
                faulty = out / "llama-faulty"
                shutil.rmtree(faulty, ignore_errors=True)
                shutil.copytree(out / "llama-fp32", faulty)
                break_embedding(
                    out / "llama-fp32" / "model.onnx", faulty / "model.onnx", nan_row=NAN_TOKEN, rows=ROWS
                )
                (faulty / "model.onnx.data").unlink()
                (faulty / "golden.json").unlink()
    packages = ("torch", "transformers", "onnx", "onnxruntime", "onnxruntime-genai")
    (out / "versions.json").write_text(
        json.dumps({name: version(name) for name in packages}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
