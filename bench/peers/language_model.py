"""Builds the language model of bench/inference.py: a Llama of 100M parameters with random weights.

`python bench/peers/language_model.py OUT` writes OUT/hf (for transformers), OUT/fp32 and OUT/int4 (made by
onnxruntime-genai's builder) and, with llama-cpp-python and gguf, OUT/fp32.gguf and OUT/int4.gguf; what is
there already stays. A prompt is words "t3" to "t15999", each of them one token, so that prompts of an exact
length can be asked for through the front door.
"""

import importlib.util
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


def write_gguf(source: Path, target: Path) -> None:
    """Write the model as llama.cpp reads it, without a vocabulary: it is asked in tokens."""
    import gguf

    weights = transformers.LlamaForCausalLM.from_pretrained(source).state_dict()
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_vocab_size(VOCAB)
    writer.add_context_length(SHAPE["max_position_embeddings"])
    writer.add_embedding_length(SHAPE["hidden_size"])
    writer.add_block_count(SHAPE["num_hidden_layers"])
    writer.add_feed_forward_length(SHAPE["intermediate_size"])
    writer.add_head_count(SHAPE["num_attention_heads"])
    writer.add_head_count_kv(SHAPE["num_key_value_heads"])
    writer.add_rope_dimension_count(SHAPE["hidden_size"] // SHAPE["num_attention_heads"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("no_vocab")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, SHAPE["num_hidden_layers"])
    heads = {"q_proj": SHAPE["num_attention_heads"], "k_proj": SHAPE["num_key_value_heads"]}
    for name, tensor in weights.items():
        count, placed = heads.get(name.split(".")[-2]), tensor
        if count:  # llama.cpp rotates neighbours, transformers the halves of a head
            halves = tensor.reshape(count, 2, -1, tensor.shape[1])
            placed = halves.swapaxes(1, 2).reshape(tensor.shape)
        writer.add_tensor(names.get_name(name, (".weight",)), placed.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantize_gguf(source: Path, target: Path) -> None:
    """Write the model with 4-bit weights in blocks of 32, all of them, as the int4 export has it."""
    import llama_cpp

    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype, settings.pure = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0, True
    failed = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), settings)
    if failed:
        raise SystemExit(f"llama.cpp could not quantize {source}")


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
    if importlib.util.find_spec("llama_cpp") and importlib.util.find_spec("gguf"):
        if not (out / "fp32.gguf").is_file():
            write_gguf(source, out / "fp32.gguf")
        if not (out / "int4.gguf").is_file():
            quantize_gguf(out / "fp32.gguf", out / "int4.gguf")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
