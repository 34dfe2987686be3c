"""Makes goldens: what the real TensorFlow 1.13.1 finds in pictures with a detection graph.

Its wheels end at Python 3.7, but its C API needs no Python: the two shared libraries of the wheel are called
through ctypes. They share no process with a current TensorFlow, so nothing here imports one.

    python -m tests.tools.tensorflow_1_13 GRAPH.pb PICTURE... --out GOLDENS.json
    python -m tests.tools.tensorflow_1_13 GRAPH.pb VIDEO --frames 0,50,100 --out GOLDENS.json

Needs pip (the wheel is 93 MB and is kept in the cache), gcc, and x86-64 Linux.
"""

import argparse
import ctypes
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import platformdirs
from numpy.typing import NDArray

VERSION = "1.13.1"
WHEEL_SHA256 = "c41862c65628261229db22e33f9e570d845eeb5cea66dcbaebe404405edaa69b"
OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")

# Data symbols cannot be bound lazily. The libraries want only this one of Python 3.7, and never read it.
STUB_SOURCE = "int _Py_CheckRecursionLimit;\n"

# TF_DataType of tensorflow/c/c_api.h
DTYPES: dict[int, type[np.generic]] = {1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 9: np.int64}
DTYPE_NUMBERS = {np.dtype(dtype): number for number, dtype in DTYPES.items()}


def fetch_libraries(folder: Path) -> None:
    """Downloads the wheel by its name, checks it, and puts its libraries and the stub into `folder`."""
    if (folder / "stub.so").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        download = Path(name)
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest", name]
        platform = ["--python-version", "3.7", "--platform", "manylinux1_x86_64"]
        subprocess.run([*pip, *platform, f"tensorflow=={VERSION}"], check=True, stdout=sys.stderr)
        (wheel,) = download.glob("*.whl")
        if (found := hashlib.sha256(wheel.read_bytes()).hexdigest()) != WHEEL_SHA256:
            raise SystemExit(f"{wheel.name}: sha256 is {found}, wanted {WHEEL_SHA256}")
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if Path(member).name in ("libtensorflow_framework.so", "_pywrap_tensorflow_internal.so"):
                    with archive.open(member) as packed, (folder / Path(member).name).open("wb") as library:
                        shutil.copyfileobj(packed, library)
    (folder / "stub.c").write_text(STUB_SOURCE)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / "stub.so", folder / "stub.c"], check=True)


class _Output(ctypes.Structure):
    """`TF_Output`: one output of an operation."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


def _load_c_api(folder: Path) -> ctypes.CDLL:
    """Loads the libraries and declares the functions used here, as tensorflow/c/c_api.h does."""
    ctypes.CDLL(str(folder / "stub.so"), mode=ctypes.RTLD_GLOBAL)
    lazy = 1  # RTLD_LAZY: functions of Python 3.7 stay unbound until called, which they never are
    ctypes.CDLL(str(folder / "libtensorflow_framework.so"), mode=ctypes.RTLD_GLOBAL | lazy)
    api = ctypes.CDLL(str(folder / "_pywrap_tensorflow_internal.so"), mode=ctypes.RTLD_GLOBAL | lazy)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    outputs, tensors = ctypes.POINTER(_Output), ctypes.POINTER(ctypes.c_void_p)
    dims = ctypes.POINTER(ctypes.c_int64)
    run = [
        pointer,
        pointer,
        outputs,
        tensors,
        number,
        outputs,
        tensors,
        number,
        pointer,
        number,
        pointer,
        pointer,
    ]
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "TF_Version": (text, []),
        "TF_NewStatus": (pointer, []),
        "TF_GetCode": (number, [pointer]),
        "TF_Message": (text, [pointer]),
        "TF_NewBufferFromString": (pointer, [text, ctypes.c_size_t]),
        "TF_NewGraph": (pointer, []),
        "TF_NewImportGraphDefOptions": (pointer, []),
        "TF_GraphImportGraphDef": (None, [pointer, pointer, pointer, pointer]),
        "TF_GraphOperationByName": (pointer, [pointer, text]),
        "TF_NewSessionOptions": (pointer, []),
        "TF_NewSession": (pointer, [pointer, pointer, pointer]),
        "TF_SessionRun": (None, run),
        "TF_AllocateTensor": (pointer, [number, dims, number, ctypes.c_size_t]),
        "TF_DeleteTensor": (None, [pointer]),
        "TF_TensorData": (pointer, [pointer]),
        "TF_TensorByteSize": (ctypes.c_size_t, [pointer]),
        "TF_TensorType": (number, [pointer]),
        "TF_NumDims": (number, [pointer]),
        "TF_Dim": (ctypes.c_int64, [pointer, number]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(api, name)
        function.restype, function.argtypes = result, arguments
    return api


class LegacySession:
    """A session of TensorFlow 1.13.1 on one frozen graph; lives as long as the process."""

    def __init__(self, graph_file: Path, libraries: Path) -> None:
        self._api = api = _load_c_api(libraries)
        self.version = api.TF_Version().decode()
        self._status = api.TF_NewStatus()
        graph_def = graph_file.read_bytes()
        self._graph = api.TF_NewGraph()
        buffer = api.TF_NewBufferFromString(graph_def, len(graph_def))
        api.TF_GraphImportGraphDef(self._graph, buffer, api.TF_NewImportGraphDefOptions(), self._status)
        self._check(f"importing {graph_file}")
        self._session = api.TF_NewSession(self._graph, api.TF_NewSessionOptions(), self._status)
        self._check("opening a session")
        self._input = self._output("image_tensor")
        self._outputs = (_Output * len(OUTPUTS))(*(self._output(name) for name in OUTPUTS))

    def run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Runs the graph on uint8 (n, height, width, 3) RGB; returns its four outputs by name."""
        feed = self._to_tensor(images)
        fetched = (ctypes.c_void_p * len(OUTPUTS))()
        self._api.TF_SessionRun(
            self._session, None, ctypes.byref(self._input), ctypes.byref(feed), 1,
            self._outputs, fetched, len(OUTPUTS), None, 0, None, self._status,
        )  # fmt: skip
        self._check("running the graph")
        arrays = {name: self._to_array(tensor) for name, tensor in zip(OUTPUTS, fetched, strict=True)}
        for tensor in (feed, *fetched):
            self._api.TF_DeleteTensor(tensor)
        return arrays

    def _output(self, name: str) -> _Output:
        operation = self._api.TF_GraphOperationByName(self._graph, name.encode())
        if not operation:
            raise SystemExit(f"the graph has no {name}")
        return _Output(operation, 0)

    def _to_tensor(self, array: NDArray[Any]) -> ctypes.c_void_p:
        array = np.ascontiguousarray(array)
        dims = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor = self._api.TF_AllocateTensor(DTYPE_NUMBERS[array.dtype], dims, array.ndim, array.nbytes)
        ctypes.memmove(self._api.TF_TensorData(tensor), array.ctypes.data, array.nbytes)
        return ctypes.c_void_p(tensor)

    def _to_array(self, tensor: int) -> NDArray[Any]:
        api = self._api
        shape = [api.TF_Dim(tensor, axis) for axis in range(api.TF_NumDims(tensor))]
        data = ctypes.string_at(api.TF_TensorData(tensor), api.TF_TensorByteSize(tensor))
        return np.frombuffer(data, DTYPES[api.TF_TensorType(tensor)]).reshape(shape)

    def _check(self, action: str) -> None:
        if self._api.TF_GetCode(self._status):
            raise SystemExit(f"{action}: {self._api.TF_Message(self._status).decode()}")


def read_pictures(
    files: Sequence[Path], frames: Sequence[int]
) -> Iterator[tuple[dict[str, Any], NDArray[np.uint8]]]:
    """Yields what identifies a picture and the picture, uint8 (height, width, 3) RGB.

    Args:
        files: Pictures; or one video, if there are `frames`.
        frames: Numbers of the video's frames, counted from 0 in the order that OpenCV decodes them.
    """
    if frames:
        video = cv2.VideoCapture(str(files[0]))
        for number in range(max(frames) + 1):
            decoded, bgr = video.read()
            if not decoded:
                raise SystemExit(f"{files[0]} has no frame {number}")
            if number in frames:
                yield {"frame": number}, np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        return
    for file in files:
        picture = cv2.imread(str(file))
        if picture is None:
            raise SystemExit(f"{file} is no picture")
        yield {"picture": file.name}, np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def golden(image: NDArray[np.uint8], outputs: dict[str, NDArray[Any]], threshold: float) -> dict[str, Any]:
    """Describes what was found in one picture: best first, boxes as ymin, xmin, ymax, xmax, normalised."""
    found = int(outputs["num_detections"][0])
    rows = zip(*(outputs[name][0][:found] for name in OUTPUTS[:3]), strict=True)
    return {
        "rgb_sha256": hashlib.sha256(image.tobytes()).hexdigest()[:16],
        "detections": [
            {
                "score": round(float(score), 7),
                "class": int(class_id),
                "box": [round(float(side), 7) for side in box],
            }
            for box, score, class_id in rows
            if score > threshold
        ],
    }


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("graph", type=Path, help="a frozen detection graph")
    parser.add_argument("pictures", type=Path, nargs="+", help="pictures, or one video with --frames")
    parser.add_argument("--frames", default="", help="numbers of the video's frames, comma-separated, from 0")
    parser.add_argument("--threshold", type=float, default=0.3, help="leave out lower scores")
    parser.add_argument("--name", help="the model's name in the goldens; default: the graph's file name")
    parser.add_argument("--out", type=Path, required=True, help="the goldens, JSON")
    arguments = parser.parse_args()

    libraries = platformdirs.user_cache_path("framebus") / f"tensorflow-{VERSION}"
    fetch_libraries(libraries)
    session = LegacySession(arguments.graph, libraries)
    numbers = [int(number) for number in arguments.frames.split(",") if number]
    goldens = {
        "runtime": f"TensorFlow {session.version}",
        "model": arguments.name or arguments.graph.stem,
        "threshold": arguments.threshold,
        "frames": [
            {**identity, **golden(image, session.run(image[np.newaxis]), arguments.threshold)}
            for identity, image in read_pictures(arguments.pictures, numbers)
        ],
    }
    arguments.out.write_text(json.dumps(goldens, indent=0) + "\n")


if __name__ == "__main__":
    main()
