"""The tables [models.NAME]: which models agents may ask, and when answers come."""

from pathlib import Path

from tickwork.core.names import name_fault
from tickwork.core.spec import CONTEXT_TOKENS, REQUESTS_MAX, TOKENS_DEFAULT, TOKENS_MAX
from tickwork.manifest.agent_section import resolved
from tickwork.manifest.bounds import MODEL_BOUNDS
from tickwork.manifest.faults import Fault, KeyPath, did_you_mean, listed, quoted
from tickwork.manifest.fields import Section
from tickwork.manifest.schema import Model

MODEL_KEYS = (
    "path",
    "cached",
    "variant",
    "latency_ticks",
    "tokens_per_tick",
    "tokens_default",
    "tokens_max",
    "context_tokens",
    "requests_max",
    "providers",
)
# As `inference.providers` knows them.
PROVIDER_NAMES = ("cpu", "cuda", "webgpu", "directml", "coreml")


def parse_model(name: str, value: object, directory: Path) -> Model:
    """Return one model; raise Fault. Whether there is such a model is not asked here."""
    at: KeyPath = ("models", name)
    if fault := name_fault(name):
        raise Fault(at, f"the model's name {fault}")
    section = Section(value, at, MODEL_KEYS)
    if "cached" not in section:
        section.require(
            "path", 'path = "models/tiny" (a folder), or cached = "NAME" from: tickwork models list'
        )
    elif "path" in section:
        raise section.fault("cached", "names a model, and so does path; remove one of the two")
    elif "variant" in section:
        raise section.fault("variant", "was chosen when the model was added to the cache; remove it here")
    path, cached = (section.text(key, "") for key in ("path", "cached"))
    if not (path or cached) or "\0" in path:
        raise section.fault(
            "path" if "path" in section else "cached", "names no model; give its folder or name"
        )
    tokens_max = _number(section, "tokens_max", TOKENS_MAX)
    tokens_default = _number(section, "tokens_default", min(TOKENS_DEFAULT, tokens_max))
    if tokens_default > tokens_max:
        raise section.fault("tokens_default", f"is more than tokens_max, which is {tokens_max}")
    return Model(
        name=name,
        path=resolved(directory, path) if path else None,
        cached=cached or None,
        variant=section.text("variant", ""),
        latency_ticks=_number(section, "latency_ticks", 1),
        tokens_per_tick=_number(section, "tokens_per_tick", 1) if "tokens_per_tick" in section else None,
        tokens_default=tokens_default,
        tokens_max=tokens_max,
        context_tokens=_number(section, "context_tokens", CONTEXT_TOKENS),
        requests_max=_number(section, "requests_max", REQUESTS_MAX),
        providers=_providers(section),
    )


def _number(section: Section, key: str, default: int) -> int:
    return section.integer(key, default, *MODEL_BOUNDS[key])


def _providers(section: Section) -> tuple[str, ...]:
    names = tuple(section.strings("providers"))
    for place, name in enumerate(names):
        if name not in PROVIDER_NAMES:
            hint = did_you_mean(name, PROVIDER_NAMES)
            raise section.fault(
                "providers", f"{quoted(name)} is none{hint}; it can be: {listed(PROVIDER_NAMES)}", place
            )
    return names or PROVIDER_NAMES[:1]
