"""One engine for language models in a process of its own; bench/inference.py asks it for short segments.

`python bench/peers/language.py ENGINE MODELS`: an ENGINE of ENGINES below, and MODELS as language_model.py
made it. A line on stdin is `prepare BATCH` (prefill so many prompts), `segment STEPS` (decode so many tokens
of each) or `first CALLERS` (time to first token under a shared prompt; tickwork only). The answer is a line
of JSON. All engines take two threads and the likeliest token.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

THREADS = 2
PROMPT = 128
CONTEXT = 1024
VOCAB = 16_000
SHARED_TOKENS, OWN_TOKENS, FIRST_CONTEXT = 1000, 24, 1152


def prompt(caller, length=PROMPT):
    """Return tokens that are the same for everyone who asks for this caller."""
    return [3 + (caller * 7919 + at * 104_729 + at * at * 31) % (VOCAB - 3) for at in range(length)]


class Tickwork:
    """Ours, through its front door: chat requests, sampling, text and stop texts included."""

    def __init__(self, models, precision, *, rules=True, spin=False, context=CONTEXT, prefix=False):
        from tickwork.inference import providers
        from tickwork.inference.language.engine import EngineSettings
        from tickwork.inference.language.load import LoadSettings, load
        from tickwork.inference.providers import SessionSettings

        if not rules:
            # Flash attention stays on: the setting that turns it off goes nowhere.
            providers.os = SimpleNamespace(environ={}, sched_getaffinity=os.sched_getaffinity)
        settings = LoadSettings(
            context_tokens=context,
            session=SessionSettings(threads=THREADS, spin=spin),
            engine=EngineSettings(slots=16, prefix_bytes=(1 << 30) if prefix else 0),
        )
        loaded = load(models / precision, settings, verdict=_free(providers))
        self.engine = loaded.engine
        self.keys = []
        if not rules:
            self._plain_sampling()

    @staticmethod
    def _plain_sampling():
        """Take the likeliest token by numpy alone, and whole chunks without an overlap."""
        import numpy as np

        from tickwork.inference.language import engine as module
        from tickwork.inference.language import sequence

        sequence.Sampler.choose = lambda _self, logits, _allowed: int(np.argmax(logits))
        module.chunk_spans = lambda start, stop, size, _chunking: (
            (at, min(stop, at + size)) for at in range(start, stop, size)
        )

    def _submit(self, key, tokens, tokens_max):
        from tickwork.inference.language.request import ChatRequest, Message

        text = " ".join(f"t{token}" for token in tokens)
        request = ChatRequest(
            messages=[Message(role="user", content=text)], temperature=0.0, max_tokens=tokens_max
        )
        self.engine.submit(key, request)

    def prepare(self, batch):
        for key in self.keys:
            self.engine.cancel(key)
        self.keys = [f"k{index}" for index in range(batch)]
        for index, key in enumerate(self.keys):
            self._submit(key, prompt(index), CONTEXT - PROMPT)
        started = time.perf_counter()
        while not all(self.engine.pieces(key) for key in self.keys):
            self.engine.step()
        return {"prefill_s": time.perf_counter() - started}

    def segment(self, steps):
        before = sum(len(self.engine.pieces(key)) for key in self.keys)
        started = time.perf_counter()
        for _ in range(steps):
            self.engine.step()
        elapsed = time.perf_counter() - started
        tokens = sum(len(self.engine.pieces(key)) for key in self.keys) - before
        return {"tokens_per_s": tokens / elapsed, "tokens": tokens}

    def first(self, callers):
        """Everybody asks at once; each wants one token."""
        shared = prompt(1 << 20, SHARED_TOKENS)
        started = time.perf_counter()
        for caller in range(callers):
            self._submit(str(caller), shared + prompt(caller, OWN_TOKENS), 1)
        waited = []
        while self.engine.busy:
            for result in self.engine.step():
                if hasattr(result, "message"):
                    raise SystemExit(f"a request failed: {result.message}")
                waited.append(time.perf_counter() - started)
        return {
            "first_s": waited[0],
            "median_s": statistics.median(waited),
            "last_s": waited[-1],
            "tokens_reused": self.engine.prefix_tokens_reused,
        }


def _free(providers):
    """Return the verdict that `tickwork` itself reaches for such a model, so that no check is timed."""
    from tickwork.inference.invariance import Serving, Verdict

    return Verdict(Serving(), (), providers.basis(providers.CPU))


class GenAI:
    """onnxruntime-genai's generator, the same folders."""

    def __init__(self, models, precision):
        import onnxruntime_genai as og

        config = og.Config(str(models / precision))
        options = {"model": {"decoder": {"session_options": {"intra_op_num_threads": THREADS}}}}
        config.overlay(json.dumps(options))
        self.og, self.model = og, og.Model(config)
        self.generator, self.batch = None, 0

    def prepare(self, batch):
        import numpy as np

        params = self.og.GeneratorParams(self.model)
        params.set_search_options(max_length=CONTEXT, batch_size=batch, do_sample=False)
        self.generator, self.batch = self.og.Generator(self.model, params), batch
        started = time.perf_counter()
        self.generator.append_tokens(np.array([prompt(index) for index in range(batch)], np.int32))
        self.generator.generate_next_token()
        return {"prefill_s": time.perf_counter() - started}

    def segment(self, steps):
        before = len(self.generator.get_sequence(0))
        started = time.perf_counter()
        for _ in range(steps):
            self.generator.generate_next_token()
        elapsed = time.perf_counter() - started
        tokens = (len(self.generator.get_sequence(0)) - before) * self.batch
        return {"tokens_per_s": tokens / elapsed, "tokens": tokens}


class Transformers:
    """transformers in fp32 on torch, its cache and an argmax; less work than its own generate()."""

    def __init__(self, models, _precision):
        os.environ["HF_HUB_OFFLINE"] = "1"
        import torch
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(THREADS)
        torch.set_grad_enabled(False)
        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(models / "hf", dtype=torch.float32).eval()
        self.cache, self.ids = None, None

    def prepare(self, batch):
        started = time.perf_counter()
        ids = self.torch.tensor([prompt(index) for index in range(batch)])
        out = self.model(input_ids=ids, use_cache=True, logits_to_keep=1)
        self.cache, self.ids = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
        return {"prefill_s": time.perf_counter() - started}

    def segment(self, steps):
        started = time.perf_counter()
        for _ in range(steps):
            out = self.model(input_ids=self.ids, past_key_values=self.cache, use_cache=True)
            self.cache, self.ids = out.past_key_values, out.logits[:, -1].argmax(-1, keepdim=True)
        tokens = steps * len(self.ids)
        return {"tokens_per_s": tokens / (time.perf_counter() - started), "tokens": tokens}


class Llama:
    """llama.cpp through its C functions: one sequence for each prompt, all in one batch, and an argmax."""

    def __init__(self, models, precision):
        import llama_cpp as api
        import numpy as np

        self.api, self.np, self.context = api, np, None
        self.model = api.llama_model_load_from_file(
            os.fsencode(models / f"{precision}.gguf"), api.llama_model_default_params()
        )
        self.room = api.llama_batch_init(16 * PROMPT, 0, 1)

    def prepare(self, batch):
        if self.context is not None:
            self.api.llama_free(self.context)
        settings = self.api.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max = batch * CONTEXT, batch
        settings.n_batch, settings.n_ubatch = 16 * PROMPT, 512
        settings.n_threads = settings.n_threads_batch = THREADS
        self.context = self.api.llama_init_from_model(self.model, settings)
        prompts = [prompt(index) for index in range(batch)]
        started = time.perf_counter()
        self.ids, self.position = self._decode(prompts, 0), PROMPT
        return {"prefill_s": time.perf_counter() - started}

    def segment(self, steps):
        started = time.perf_counter()
        for _ in range(steps):
            self.ids = self._decode([[token] for token in self.ids], self.position)
            self.position += 1
        tokens = steps * len(self.ids)
        return {"tokens_per_s": tokens / (time.perf_counter() - started), "tokens": tokens}

    def _decode(self, rows, position):
        """Run each sequence's tokens from a position on; return the likeliest next of each."""
        room, lasts, at = self.room, [], 0
        for sequence, tokens in enumerate(rows):
            for offset, token in enumerate(tokens):
                room.token[at], room.pos[at] = token, position + offset
                room.n_seq_id[at], room.seq_id[at][0] = 1, sequence
                room.logits[at] = offset == len(tokens) - 1
                at += 1
            lasts.append(at - 1)
        room.n_tokens = at
        if self.api.llama_decode(self.context, room):
            raise SystemExit("llama.cpp could not decode")
        found = [self.api.llama_get_logits_ith(self.context, last) for last in lasts]
        return [int(self.np.ctypeslib.as_array(logits, (VOCAB,)).argmax()) for logits in found]


ENGINES = {
    "tickwork-int4": lambda models: Tickwork(models, "int4"),
    "tickwork-fp32": lambda models: Tickwork(models, "fp32"),
    "tickwork-int4-spin": lambda models: Tickwork(models, "int4", spin=True),
    "tickwork-fp32-spin": lambda models: Tickwork(models, "fp32", spin=True),
    "tickwork-int4-rules-off": lambda models: Tickwork(models, "int4", rules=False),
    "tickwork-fp32-rules-off": lambda models: Tickwork(models, "fp32", rules=False),
    "tickwork-int4-prefix": lambda models: Tickwork(models, "int4", context=FIRST_CONTEXT, prefix=True),
    "tickwork-int4-no-prefix": lambda models: Tickwork(models, "int4", context=FIRST_CONTEXT),
    "genai-int4": lambda models: GenAI(models, "int4"),
    "genai-fp32": lambda models: GenAI(models, "fp32"),
    "llama-fp32": lambda models: Llama(models, "fp32"),
    "llama-int4": lambda models: Llama(models, "int4"),
    "transformers-fp32": lambda models: Transformers(models, "fp32"),
}


def main():
    engine = ENGINES[sys.argv[1]](Path(sys.argv[2]))
    print(json.dumps({"ready": sys.argv[1]}), flush=True)
    for line in sys.stdin:
        command, number = line.split()
        print(json.dumps(getattr(engine, command)(int(number))), flush=True)


if __name__ == "__main__":
    main()
