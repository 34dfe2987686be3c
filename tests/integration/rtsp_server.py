"""A camera that speaks RTSP, on loopback: GStreamer's RTSP server with pictures of one colour.

Runs on the system's Python, for GStreamer's bindings come with it (Debian: python3-gi,
gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good, gstreamer1.0-plugins-ugly):

    python3 rtsp_server.py PORT WIDTHxHEIGHT [USER PASSWORD]

`/live` is H.264 of this size at 20 pictures a second, whose colour tells when each was made: red is the tenth
of the second and green the last digit of the second, since 1970 and both times 25, plus 12. `/h264` and
`/jpeg` change their size every second, from 320x240 to 640x480 and back.
"""

import sys
import time
from typing import Any

try:
    import gi  # type: ignore[import-not-found]

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]
except (ImportError, ValueError) as error:
    print(f"missing: {error}", flush=True)  # noqa: T201 - whoever started this reads it
    sys.exit(1)

FPS = 20
CHANGING_SIZES = [(320, 240), (640, 480)]
H264 = (
    "x264enc tune=zerolatency sliced-threads=false key-int-max=10 ! h264parse ! rtph264pay config-interval=-1"
)
JPEG = "jpegenc ! rtpjpegpay"


def push_picture(source: Any, sizes: list[tuple[int, int]]) -> bool:
    tenths = int(time.time() * 10)
    width, height = sizes[tenths // 10 % len(sizes)]
    colour = bytes((tenths % 10 * 25 + 12, tenths // 10 % 10 * 25 + 12, 0))
    caps = f"video/x-raw,format=RGB,width={width},height={height},framerate={FPS}/1"
    source.set_property("caps", Gst.Caps.from_string(caps))
    source.emit("push-buffer", Gst.Buffer.new_wrapped(colour * (width * height)))
    return True


def add_stream(server: Any, path: str, encoder: str, sizes: list[tuple[int, int]]) -> None:
    def configure(_: Any, media: Any) -> None:
        source = media.get_element().get_by_name("source")
        timer = GLib.timeout_add(1_000 // FPS, push_picture, source, sizes)
        media.connect("unprepared", lambda _: GLib.source_remove(timer))

    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(
        "( appsrc name=source is-live=true do-timestamp=true format=time ! videoconvert ! "
        f"video/x-raw,format=I420 ! {encoder} name=pay0 )"
    )
    factory.set_shared(True)
    factory.connect("media-configure", configure)
    if len(sys.argv) > 3:
        factory.add_role_from_structure(
            Gst.Structure.from_string("user,media.factory.access=true,media.factory.construct=true")[0]
        )
    server.get_mount_points().add_factory(path, factory)


def protect(server: Any, user: str, password: str) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


def main() -> None:
    Gst.init(None)
    for element in ("x264enc", "h264parse", "rtph264pay", "jpegenc", "rtpjpegpay"):
        if Gst.ElementFactory.find(element) is None:
            print(f"missing: GStreamer's {element}", flush=True)  # noqa: T201
            sys.exit(1)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[1])
    width, height = map(int, sys.argv[2].split("x"))
    add_stream(server, "/live", H264, [(width, height)])
    add_stream(server, "/h264", H264, CHANGING_SIZES)
    add_stream(server, "/jpeg", JPEG, CHANGING_SIZES)
    if len(sys.argv) > 3:
        protect(server, *sys.argv[3:5])
    server.attach(None)
    print("ready", flush=True)  # noqa: T201
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
