"""The errors that a caller may meet; each message names the thing and the fix."""


class TickworkError(Exception):
    """The base of every error that tickwork raises on purpose."""


class ManifestError(TickworkError):
    """A manifest that cannot be run: the message names the file, the key and the fix."""


class ModuleError(TickworkError):
    """An agent's module that cannot be loaded: not WASM, unsupported, or of another ABI."""


class RunFileError(TickworkError):
    """A run file that cannot be read: not ours, damaged, or of a format this version does not know."""


class InputError(TickworkError):
    """An external input that cannot be opened, or a bad line where the run was told to stop at one."""


class EditError(TickworkError):
    """An edit of a fork that cannot be made: the message names the edit, such as `drop[1]`, and the fix."""


class HostError(TickworkError):
    """The host itself failed (disk, memory, engine); never visible to a guest."""
