"""Builds the language model of bench/inference.py: a Llama of 100M parameters with random weights.

`python bench/peers/language_model.py OUT` writes OUT/hf (for transformers), OUT/fp32 and OUT/int4 (made by
onnxruntime-genai's builder). A prompt is words "t3" to "t15999", each of them one token, so that prompts of
an exact length can be asked for through the front door.
"""

import os
import subprocess
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

VOCAB = 16_000
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "max_position_embeddings": 2048,
    "initializer_range": 0.05,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
EXPORTS = {"fp32": ("fp32", ()), "int4": ("int4", ("accuracy_level=4", "block_size=32"))}
TEMPLATE = "{% for message in messages %}{{ message['content'] + ' ' }}{% endfor %}"


def write_source(folder: Path) -> None:
    """Write the model as transformers reads it, with its tokenizer."""
    torch.manual_seed(1)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SHAPE)).float()
    model.save_pretrained(folder)
    words = ["<pad>", "<start>", "<end>", *(f"t{index}" for index in range(3, VOCAB))]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, "<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", pad_token="<pad>", chat_template=TEMPLATE
    ).save_pretrained(folder)


def main(out: Path) -> None:
    """Build everything that is not there yet."""
    source = out / "hf"
    if not (source / "tokenizer.json").is_file():
        write_source(source)
    for name, (precision, options) in EXPORTS.items():
        if not (out / name / "genai_config.json").is_file():
            command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(source)]
            command += ["-o", str(out / name), "-p", precision, "-e", "cpu", "-c", str(out / "cache")]
            if options:
                command += ["--extra_options", *options]
            subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
