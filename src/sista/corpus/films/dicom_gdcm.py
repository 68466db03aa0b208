"""Frames that only GDCM can decode, in a process of their own: it ends its process on some broken frames, and no exception can stop that.

One helper process serves all frames of a process; it is started with the first one, and again after a frame that it did not survive.
This file is also that helper's program, so that it imports nothing of sista.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from typing import Any, BinaryIO

PATIENCE, PIXELS_PER_SECOND = 20.0, 2_000_000  # a frame may take 20 s, and a second more for every 2 million pixels


class Helper:
    """The helper process of this process; `decode` sends it a frame."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.owner = 0
        self.lock = threading.Lock()

    def decode(self, encoded: bytes, format_: dict[str, Any]) -> bytes:
        """The bytes of a decoded frame, samples of a pixel together; raises ValueError where GDCM fails, dies or takes too long.

        format_: transfer syntax, columns, rows, samples, photometric, bits_allocated, bits_stored, signed (0 or 1).
        """
        with self.lock:
            process = self._running()
            timer = threading.Timer(PATIENCE + format_["columns"] * format_["rows"] / PIXELS_PER_SECOND, process.kill)
            timer.start()
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(json.dumps({**format_, "bytes": len(encoded)}).encode() + b"\n")
                process.stdin.write(encoded)
                process.stdin.flush()
                answer = process.stdout.readline()
                length = int(answer) if answer.strip() else -1
                data = process.stdout.read(length) if length > 0 else b""
            except (OSError, ValueError):
                length, data = -1, b""
            finally:
                timer.cancel()
            if length < 0 or len(data) != length:
                self.stop()
                raise ValueError("the JPEG frame ended or held up GDCM")
            if not data:
                raise ValueError("a JPEG frame that GDCM cannot decode")
            return data

    def stop(self) -> None:
        """End the helper process, where it is this process's own."""
        if self.process is not None and self.owner == os.getpid():
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                try:
                    if pipe is not None:
                        pipe.close()
                except OSError:
                    pass
        self.process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.owner != os.getpid() or self.process.poll() is not None:
            command = [sys.executable, "-P", __file__]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.owner = os.getpid()
        return self.process


HELPER = Helper()
atexit.register(HELPER.stop)


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Decode the frames that are asked for until there are no more: a JSON line and the frame in, the length and the samples out."""
    import gdcm

    while line := asked.readline():
        format_ = json.loads(line)
        encoded = asked.read(format_["bytes"])
        try:
            data = _decode(gdcm, encoded, format_)
        except Exception:
            data = b""
        answers.write(b"%d\n" % len(data))
        answers.write(data)
        answers.flush()


def _decode(gdcm: Any, encoded: bytes, format_: dict[str, Any]) -> bytes:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(encoded)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((format_["columns"], format_["rows"], 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.GetPIType(format_["photometric"])))
    if format_["samples"] > 1:
        image.SetPlanarConfiguration(0)
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(format_["syntax"])))
    stored = format_["bits_stored"]
    image.SetPixelFormat(gdcm.PixelFormat(format_["samples"], format_["bits_allocated"], stored, stored - 1, format_["signed"]))
    data: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM gives bytes as text
    return data


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
