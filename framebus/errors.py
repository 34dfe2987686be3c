"""Every error of framebus. One class means one action, so a handler needs no more than the class.

    FramebusError
    ├── SettingsError      refuse to start; the message names the setting and the remedy
    ├── FrameError         this frame becomes a dead letter, go on with the next
    │   ├── UndecodableFrameError
    │   ├── FrameTooLargeError
    │   ├── InvalidHeaderError
    │   ├── UnknownModelError
    │   └── DetectionError
    ├── ModelError         refuse this model and keep the one in force
    │   └── SampleError    a sample cannot be fetched
    ├── CameraError        this camera cannot be read; the others go on
    └── TransportError     the bus failed: retry with a cap, then exit non-zero
        └── TopicMissingError  the same, unless a regular expression had found the topic

Anything else is a bug: it ends the process without committing, so that no frame is lost to it.
"""

from typing import ClassVar


class FramebusError(Exception):
    """The root of every error that framebus raises on purpose."""


class SettingsError(FramebusError):
    """A setting is missing or wrong. The message names it and says what to write instead."""


class FrameError(FramebusError):
    """One frame cannot be processed. `reason` is the metric label and the dead letter's `fb_error`."""

    reason: ClassVar[str] = "frame_error"


class UndecodableFrameError(FrameError):
    """The bytes are no complete JPEG, PNG or WebP image."""

    reason = "undecodable"


class FrameTooLargeError(FrameError):
    """The image has more pixels, or the record more bytes, than the limits allow."""

    reason = "too_large"


class InvalidHeaderError(FrameError):
    """A record header breaks the wire format."""

    reason = "invalid_header"


class UnknownModelError(FrameError):
    """`ce_model` names a model that this consumer does not run."""

    reason = "unknown_model"


class DetectionError(FrameError):
    """The engine could not process this one frame, even alone."""

    reason = "detection_failed"


class ModelError(FramebusError):
    """A model cannot be loaded. The message names the file and the remedy."""


class SampleError(ModelError):
    """A sample model or video cannot be fetched, or its checksum is wrong."""


class CameraError(FramebusError):
    """A camera's source cannot be opened or read."""


class TransportError(FramebusError):
    """The bus refused or lost an operation for good. The message names broker, topic and remedy."""


class TopicMissingError(TransportError):
    """A topic that is needed is not there, or not any more. `topic` is the first of those that are not."""

    def __init__(self, topic: str, *others: str) -> None:
        topics = (topic, *others)
        which = f"topics {', '.join(topics)} do" if others else f"topic {topic} does"
        command = " ".join(["framebus topics create", *(f"--topic {name}" for name in topics)])
        super().__init__(f"{which} not exist; create {'them' if others else 'it'} with `{command}`")
        self.topic = topic
