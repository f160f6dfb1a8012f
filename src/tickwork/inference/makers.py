"""What the bits of an answer rest on beside the model: the versions of the libraries, and the processor."""

from importlib.metadata import PackageNotFoundError, version

import msgspec
import onnxruntime as ort  # type: ignore[import-untyped]

from tickwork.inference.providers import isa

_LIBRARIES = ("tokenizers", "jinja2", "llguidance", "numpy", "msgspec")


class Makers(msgspec.Struct, frozen=True):
    """The versions by library, and the processor as one word. Equal makers give equal answers on the CPU."""

    libraries: dict[str, str]
    isa: str

    def encode(self) -> str:
        """Return the text that a run file keeps."""
        return msgspec.json.encode(self, order="sorted").decode()

    def differences(self, recorded: str) -> str:
        """Return in what the makers of a recording differ from these, as one sentence."""
        try:
            then = msgspec.json.decode(recorded, type=Makers)
        except (msgspec.MsgspecError, RecursionError):
            return "the recording does not say what computed its answers"
        told = [
            f"{name} {then.libraries.get(name, 'none')} and here {self.libraries.get(name, 'none')}"
            for name in sorted({*self.libraries, *then.libraries})
            if self.libraries.get(name) != then.libraries.get(name)
        ]
        if then.isa != self.isa:
            told.append(f"{then.isa} and here {self.isa}")
        return "recorded with " + ", ".join(told)


def makers() -> Makers:
    """Return what computes answers here."""
    # Its builds for other providers are distributions of other names, with the same code for the CPU.
    libraries = {"onnxruntime": ort.__version__}
    return Makers(libraries | {name: found for name in _LIBRARIES if (found := _version(name))}, isa())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
