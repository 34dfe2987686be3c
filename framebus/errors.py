"""Every error of framebus. One class means one action, so a handler needs no more than the class.

    FramebusError
    ├── SettingsError      refuse to start; the message names the setting and the remedy
    ├── FrameError         this frame becomes a dead letter, go on with the next
    │   ├── UndecodableFrameError
    │   ├── FrameTooLargeError
    │   ├── InvalidHeaderError
    │   ├── UnknownModelError
    │   ├── DetectionError
    │   └── ProcessKilledError
    ├── ModelError         refuse this model and keep the one in force
    │   └── SampleError    a sample cannot be fetched
    ├── TooManyDeadLettersError  stop, so that a topic is not drained into the dead letters
    ├── DeadLetterError    no dead letter, or its frame cannot be had: say so, go on with the next
    ├── ControlRecordError a record of the control topics cannot be read: say so, go on with the next
    ├── CameraError        this camera cannot be read; the others go on
    └── TransportError     the bus failed: retry with a cap, then exit non-zero
        ├── BusRefusedError         do not retry: somebody has to change the installation
        ├── TopicMissingError       the same, unless a regular expression had found the topic
        └── TransactionFailedError  abort the transaction, and publish it again with a cap

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


class ProcessKilledError(FrameError):
    """A process ended with this frame in it and no other."""

    reason = "process_killed"

    def __init__(self) -> None:
        super().__init__(
            "processes ended again and again with this frame, the last one with no other frame in flight"
        )


class TooManyDeadLettersError(FramebusError):
    """More frames become dead letters than is sound. The message says why the last one did."""


class ModelError(FramebusError):
    """A model cannot be loaded. The message names the file and the remedy."""


class SampleError(ModelError):
    """A sample model or video cannot be fetched, or its checksum is wrong."""


class DeadLetterError(FramebusError):
    """A record is no dead letter, or its frame cannot be had: say so, and go on with the next."""


class ControlRecordError(FramebusError):
    """A record on a control topic is none that framebus wrote. The message says where it stands."""


class CameraError(FramebusError):
    """A camera's source cannot be opened or read."""


class TransportError(FramebusError):
    """The bus refused or lost an operation for good. The message names broker, topic and remedy."""


class BusRefusedError(TransportError):
    """The bus said no, and will say so again: a wrong password, a missing permission, an unknown issuer."""


class TopicMissingError(TransportError):
    """A topic that is needed is not there, or not any more. `topic` is the first of those that are not."""

    def __init__(self, topic: str, *others: str) -> None:
        topics = (topic, *others)
        which = f"topics {', '.join(topics)} do" if others else f"topic {topic} does"
        them = "them" if others else "it"
        command = " ".join(["framebus topics create", *map(_creating, topics)])
        super().__init__(
            # To a user who may do nothing with it, a broker denies that a topic exists.
            f"{which} not exist, or this user may not see {them}; create {them} with `{command}`"
        )
        self.topic = topic


def _creating(topic: str) -> str:
    # Topics of detections are named after their models, and are not like those of frames.
    return f"--model {topic[len('detections.') :]}" if topic.startswith("detections.") else f"--topic {topic}"


class TransactionFailedError(TransportError):
    """A transaction cannot be committed, and nothing of it is visible; the next one may well be."""
